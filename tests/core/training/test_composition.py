"""An arm's deformations and the baseline: composed in order, resampled once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medscale.fields.warp import compose, warp
from medscale.protocols import Augmenter, Batch, PoolView
from medscale.testing.images import batch_of
from medscale.training.augmentation import apply, augment, composed, draw, draw_displacements
from medscale.training.options import AugmentationOptions


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Wave:
    """An arm whose deformation is a given one."""

    def __init__(self, field: Tensor) -> None:
        self.field = field

    def fit(self, view: PoolView) -> None:
        pass

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        raise AssertionError("core composes displacements itself")

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        torch.rand(1, generator=generator)
        return self.field.expand(len(batch.images), *self.field.shape[1:])


class _OutputWave(_Wave):
    """An arm whose deformation comes after the baseline's affine map."""

    frame = "output"


class _Numbers(_Wave):
    """An arm that remembers what it drew, and moves nothing."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 2, 1, 1))
        self.drawn: list[float] = []

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        self.drawn.append(float(torch.rand((), generator=generator)))
        return super().displacements(batch, generator)


class _Brighter:
    """An arm that is no deformation."""

    def fit(self, view: PoolView) -> None:
        pass

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch.replace(images=2 * batch.images, masks=batch.masks)


@pytest.fixture
def waves() -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(
        torch.linspace(0, 3, 48), torch.linspace(0, 3, 64), indexing="ij"
    )
    return (
        torch.stack([3 * torch.sin(rows + columns), 4 * torch.cos(columns)])[None],
        torch.stack([4 * torch.cos(2 * rows), 4 * torch.sin(rows - columns)])[None],
    )


def test_arms_are_composed_in_order_and_the_baseline_on_top(
    waves: tuple[Tensor, Tensor],
) -> None:
    batch = batch_of((48, 64), 1)
    arm = [_Wave(waves[0]), _Wave(waves[1])]
    options = AugmentationOptions(flip=1, affine=1, intensity=0, shear=0)
    once = augment(batch, arm, options, _generator())
    # One warp after the other, and then the affine by itself.
    deformed = warp(warp(batch.images, waves[0]), waves[1])
    parameters = draw(1, 2, options, _generator())
    thrice = apply(batch.replace(images=deformed, masks=batch.masks), parameters, options)
    inside = (..., slice(8, -8), slice(8, -8))
    assert (once.images - thrice.images)[inside].abs().max() < 0.03
    # In the other order it would be something else.
    swapped = warp(warp(batch.images, waves[1]), waves[0])
    other = apply(batch.replace(images=swapped, masks=batch.masks), parameters, options)
    assert (once.images - other.images)[inside].abs().max() > 0.06


def test_deformations_in_the_output_s_frame_come_after_the_baseline(
    waves: tuple[Tensor, Tensor],
) -> None:
    batch = batch_of((48, 64), 1)
    options = AugmentationOptions(flip=1, affine=1, intensity=0, shear=0)
    parameters = draw(1, 2, options, _generator())
    inside = (..., slice(8, -8), slice(8, -8))
    plain = apply(batch, parameters, options)
    once = augment(batch, [_OutputWave(waves[0]), _OutputWave(waves[1])], options, _generator())
    twice = warp(warp(plain.images, waves[0]), waves[1])
    assert (once.images - twice)[inside].abs().max() < 0.03
    # Wherever it stands in the arm, what is in the image's frame comes before the baseline.
    deformed = batch.replace(images=warp(batch.images, waves[0]), masks=batch.masks)
    expected = warp(apply(deformed, parameters, options).images, waves[1])
    arm = [_OutputWave(waves[1]), _Wave(waves[0])]
    for augmenters in (arm, arm[::-1]):
        once = augment(batch, augmenters, options, _generator())
        assert (once.images - expected)[inside].abs().max() < 0.03
    # In the other frame it would be something else.
    other = augment(batch, [_Wave(waves[0]), _Wave(waves[1])], options, _generator())
    assert (other.images - expected)[inside].abs().max() > 0.06


def test_frames_are_drawn_apart(waves: tuple[Tensor, Tensor]) -> None:
    batch = batch_of((48, 64), 1)
    arm = [_OutputWave(waves[1]), _Wave(waves[0])]
    in_image, in_output = draw_displacements(batch, arm, _generator())
    assert isinstance(in_image, Tensor)
    assert isinstance(in_output, Tensor)
    assert torch.equal(in_image, waves[0])
    assert torch.equal(in_output, waves[1])
    torch.testing.assert_close(composed(in_image, in_output, (48, 64)), compose(*waves))
    assert composed(None, in_output, (48, 64)) is in_output


def test_deformations_of_an_arm_are_one_field(waves: tuple[Tensor, Tensor]) -> None:
    batch = batch_of((48, 64), 3)
    arm: list[Augmenter] = [_Wave(waves[0]), _Brighter(), _Wave(waves[1])]
    field, _ = draw_displacements(batch, arm, _generator())
    assert field is not None
    torch.testing.assert_close(field, compose(*waves).expand_as(field))
    assert draw_displacements(batch, [_Brighter()], _generator()) == (None, None)


def test_a_coarse_arm_is_composed_with_a_fine_one() -> None:
    batch = batch_of((16, 24), 2)
    shift = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1)
    arm = [_Wave(shift), _Wave(shift.expand(1, 2, 16, 24))]
    field, _ = draw_displacements(batch, arm, _generator())
    assert field is not None
    torch.testing.assert_close(field, 2 * shift.expand(2, 2, 16, 24))


def test_augmenters_that_are_no_deformation_come_last(waves: tuple[Tensor, Tensor]) -> None:
    batch = batch_of((48, 64), 2)
    plain = augment(batch, [_Wave(waves[0])], AugmentationOptions(), _generator())
    bright = augment(batch, [_Brighter(), _Wave(waves[0])], AugmentationOptions(), _generator())
    torch.testing.assert_close(bright.images, 2 * plain.images)
    assert torch.equal(bright.masks, plain.masks)


def test_the_baseline_of_an_arm_is_that_of_every_other(waves: tuple[Tensor, Tensor]) -> None:
    # What an arm draws comes after what the baseline drew.
    batch = batch_of((48, 64), 4)
    plain = augment(batch, [], AugmentationOptions(), _generator())
    still = augment(batch, [_Wave(torch.zeros(1, 2, 48, 64))], AugmentationOptions(), _generator())
    torch.testing.assert_close(still.images, plain.images, atol=1e-5, rtol=0)
    torch.testing.assert_close(still.masks, plain.masks)
    assert torch.equal(still.indices, plain.indices)


def test_the_baseline_stays_that_of_every_arm_batch_after_batch() -> None:
    batch, options = batch_of((48, 64), 4), AugmentationOptions()
    still = torch.zeros(1, 2, 48, 64)
    arms: dict[str, list[Augmenter]] = {
        "none": [],
        "one number": [_Wave(still)],
        "two numbers": [_Wave(still), _Wave(still)],
        "both frames": [_Wave(still), _OutputWave(still)],
    }
    generators = {name: _generator() for name in arms}
    for _ in range(3):
        seen = {name: augment(batch, arms[name], options, generators[name]) for name in arms}
        for augmented in seen.values():
            torch.testing.assert_close(augmented.images, seen["none"].images, atol=1e-5, rtol=0)
    # An arm draws other numbers for every batch.
    wave = _Numbers()
    for _ in range(2):
        augment(batch, [wave], options, generators["none"])
    assert wave.drawn[0] != wave.drawn[1]

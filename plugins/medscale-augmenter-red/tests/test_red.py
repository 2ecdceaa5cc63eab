"""Random elastic deformation draws what MONAI's Rand2DElastic draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.transforms.croppad.array import CenterSpatialCrop
from monai.transforms.spatial.array import RandDeformGrid
from monai.transforms.utils import create_control_grid
from torch import Tensor

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.fields.jacobian import folding_share
from medscale.fields.warp import affine_grid, then_affine
from medscale.protocols import (
    Augmenter,
    Batch,
    PluginContext,
    SupportsDisplacements,
    SupportsFrame,
)
from medscale.testing.images import batch_of, pool_of
from medscale.training.augmentation import augment
from medscale.training.options import AugmentationOptions
from medscale_augmenter_red.augmenter import RandomElastic, control_points, interpolated
from medscale_augmenter_red.config import RedOptions


def _red(**options: Any) -> RandomElastic:
    return RandomElastic(validate(RedOptions, options, "red"), PluginContext())


def _batch(shape: tuple[int, ...], count: int) -> Batch:
    images = torch.zeros(count, 1, *shape)
    return Batch(images, images, torch.arange(count))


def _draw(red: RandomElastic, shape: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    return red.displacements(_batch(shape, count), torch.Generator().manual_seed(seed))


def _monai(grid: Tensor, shape: tuple[int, ...], spacing: float) -> Tensor:
    """Do with a control grid what Rand2DElastic does; return its (D, *shape)."""
    dense = F.interpolate(
        grid[None],
        recompute_scale_factor=True,
        scale_factor=[spacing] * len(shape),
        mode="bicubic",
        align_corners=False,
    )
    return torch.as_tensor(CenterSpatialCrop(roi_size=shape)(dense[0])[: len(shape)])


def _control(shape: tuple[int, ...], spacing: float) -> Tensor:
    grid = create_control_grid(shape, (spacing,) * len(shape), backend="torch")
    return torch.as_tensor(grid, dtype=torch.float32)


@pytest.mark.parametrize("spacing", [10.0, 7.5, 16.0])
@pytest.mark.parametrize("shape", [(64, 96), (63, 50), (33, 31), (128, 128), (8, 200)])
def test_the_same_offsets_are_interpolated_as_monai_does(
    shape: tuple[int, int], spacing: float
) -> None:
    still = _control(shape, spacing)
    points = tuple(control_points(n, spacing) for n in shape)
    assert tuple(still.shape[1:]) == points
    offsets = torch.randn(2, *points, generator=torch.Generator().manual_seed(0))
    moved = still.clone()
    moved[:2] += offsets
    # MONAI interpolates where to look, and we how far away; interpolation is linear in both.
    expected = _monai(moved, shape, spacing) - _monai(still, shape, spacing)
    field = interpolated(offsets[None], shape, spacing).dense()
    assert field.shape == (1, 2, *shape)
    torch.testing.assert_close(field[0], expected, atol=1e-3, rtol=0)


def test_the_baseline_s_affine_map_comes_before_as_in_monai() -> None:
    shape, spacing = (64, 96), 10.0
    matrix = torch.tensor([[0.9, -0.4], [0.3, -1.1]])
    still = _control(shape, spacing)
    moved = still.clone()
    moved[:2] += torch.randn(2, *still.shape[1:], generator=torch.Generator().manual_seed(0))
    field = interpolated((moved - still)[None, :2], shape, spacing).dense()
    # MONAI turns the grid of control points, and we the displacements.
    turned, flat = (
        _monai(torch.einsum("ij,j...->i...", matrix, grid[:2]), shape, spacing)
        for grid in (moved, still)
    )
    grid = then_affine(field, matrix[None], shape).dense() - affine_grid(matrix[None], shape, shape)
    ours = grid[0].flip(0) * torch.tensor(shape).view(2, 1, 1) / 2
    torch.testing.assert_close(ours, turned - flat, atol=1e-3, rtol=0)
    red = _red()
    assert isinstance(red, SupportsFrame)
    assert red.frame == "output"


class _Dense:
    """The same deformations, laid out."""

    frame = "output"

    def __init__(self, red: RandomElastic) -> None:
        self.fit, self.augment, self.displacements = red.fit, red.augment, red.displacements


@pytest.mark.parametrize("prob", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(40, 64), (16, 20, 24)])
@pytest.mark.parametrize("times", [1, 2])
def test_control_points_are_composed_as_the_field_is(
    shape: tuple[int, ...], prob: float, times: int
) -> None:
    batch, red = batch_of(shape, 6), _red(prob=prob)
    generators = [torch.Generator().manual_seed(2) for _ in range(2)]
    arms: list[list[Augmenter]] = [[red] * times, [_Dense(red)] * times]
    first, second = (
        augment(batch, arm, AugmentationOptions(), generator)
        for arm, generator in zip(arms, generators, strict=True)
    )
    torch.testing.assert_close(first.images, second.images, atol=1e-4, rtol=0)
    assert (first.masks != second.masks).float().mean() < 1e-3
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def _correlation(fields: Tensor, lag: int) -> float:
    """Return the correlation of displacements that many pixels apart, over many draws."""
    one, other = fields[..., lag:].flatten(), fields[..., :-lag].flatten()
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def test_the_distribution_is_monai_s() -> None:
    shape, count = (32, 40), 600
    ours = _draw(_red(prob=1), shape, count)
    grid = RandDeformGrid(spacing=(10.0, 10.0), magnitude_range=(1.0, 3.0))
    grid.set_random_state(seed=0)
    still = _monai(_control(shape, 10.0), shape, 10.0)
    theirs = torch.stack([_monai(grid(shape), shape, 10.0) - still for _ in range(count)])
    assert float(ours.norm(dim=1).mean()) == pytest.approx(
        float(theirs.norm(dim=1).mean()), rel=0.05
    )
    for lag in (3, 8, 20):
        assert _correlation(ours, lag) == pytest.approx(_correlation(theirs, lag), abs=0.03)
    # How strongly samples differ among each other is part of it: magnitudes vary from 1 to 3.
    strengths = [fields.flatten(1).std(dim=1) for fields in (ours, theirs)]
    for share in (0.1, 0.5, 0.9):
        assert float(strengths[0].quantile(share)) == pytest.approx(
            float(strengths[1].quantile(share)), rel=0.08
        )


@pytest.mark.parametrize(("prob", "share"), [(0.0, 0.0), (0.1, 0.1), (0.6, 0.6), (1.0, 1.0)])
def test_the_probability_is_each_sample_s(prob: float, share: float) -> None:
    field = _draw(_red(prob=prob), (16, 20), 500)
    moved = (field != 0).flatten(1).any(1).float().mean()
    assert float(moved) == pytest.approx(share, abs=0.05)


def test_the_published_probability_is_one_in_ten() -> None:
    assert RedOptions().prob == 0.1


def test_the_probability_shifts_no_stream() -> None:
    often, always = _draw(_red(prob=0.5), (16, 20), 32), _draw(_red(prob=1), (16, 20), 32)
    moved = (often != 0).flatten(1).any(1)
    assert 4 < moved.sum() < 28
    torch.testing.assert_close(often[moved], always[moved])
    states = []
    for prob in (0, 0.5, 1):
        generator = torch.Generator().manual_seed(3)
        _red(prob=prob).displacements(_batch((16, 20), 4), generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])


def test_magnitudes_scale_the_field() -> None:
    small = _draw(_red(prob=1, magnitude_min=1, magnitude_max=1), (32, 32), 4)
    large = _draw(_red(prob=1, magnitude_min=3, magnitude_max=3), (32, 32), 4)
    torch.testing.assert_close(large, 3 * small)
    assert not _draw(_red(prob=1, magnitude_min=0, magnitude_max=0), (32, 32), 4).any()


@pytest.mark.parametrize("shape", [(24, 20, 32), (17, 33, 21)])
def test_volumes_are_deformed_too(shape: tuple[int, ...]) -> None:
    field = _draw(_red(prob=1), shape, 3)
    assert field.shape == (3, 3, *shape)
    assert 0.3 < field.std() < 3
    for axis in range(3):
        assert 0 < field.diff(dim=2 + axis).abs().max() < 2.5
    assert float(folding_share(field).max()) < 0.05


def test_a_wider_spacing_is_smoother() -> None:
    steps = [
        float(_draw(_red(prob=1, spacing=spacing), (64, 64), 8).diff(dim=2).abs().mean())
        for spacing in (6, 12, 24)
    ]
    assert steps[0] > 1.5 * steps[1] > 2 * steps[2]


def test_it_is_a_distribution_over_deformations() -> None:
    red = _red(prob=1)
    assert isinstance(red, SupportsDisplacements)
    red.fit(pool_of((24, 32), 4))
    batch = batch_of((24, 32), 4)
    before = batch.images.clone()
    changed = red.augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(batch.images, before)
    assert (changed.images != batch.images).flatten(1).any(1).all()
    assert set(changed.masks.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(changed.indices, batch.indices)


def test_undeformed_samples_stay_to_the_bit() -> None:
    batch = batch_of((24, 32), 4)
    changed = _red(prob=0).augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(changed.images, batch.images)
    assert torch.equal(changed.masks, batch.masks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"magnitude_min": 3, "magnitude_max": 1}, r"red\.magnitude_max got 1, expected at least"),
        ({"prob": 1.5}, r"red\.prob got 1\.5"),
        ({"spacing": 0.5}, r"red\.spacing got 0\.5"),
        ({"magnitude_min": -1}, r"red\.magnitude_min got -1"),
        ({"magnitude_max": "inf"}, r"red\.magnitude_max got 'inf'"),
        ({"probs": 1}, r"unknown option red\.probs: did you mean prob\?"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _red(**options)


def test_numpy_is_not_asked_for_randomness() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    _draw(_red(prob=1), (16, 16), 2)
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002

"""The baseline augmentation: drawn once, applied to image and mask together, resampled once."""

from __future__ import annotations

import math
from types import EllipsisType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.protocols import Batch
from medscale.testing.images import batch_of
from medscale.training.augmentation import Parameters, apply, augment, draw
from medscale.training.options import AugmentationOptions

_DEFAULT = AugmentationOptions()
_CURVE = AugmentationOptions(histogram="curve")
_NEVER = AugmentationOptions(flip=0, affine=0, intensity=0)
_ALWAYS = AugmentationOptions(flip=1, affine=1, intensity=1)
_SHAPES = [(24, 24), (20, 32), (12, 16, 20)]


def _noise(shape: tuple[int, ...], count: int = 2, channels: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, *shape, generator=generator)
    masks = (torch.rand(count, 1, *shape, generator=generator) > 0.5).float()
    return Batch(images, masks, torch.arange(count))


def _parameters(matrix: Tensor, count: int = 2, intensity: float = 0.0) -> Parameters:
    return Parameters(matrix.expand(count, *matrix.shape), torch.full((count, 1), intensity))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _assert_same(one: Batch, other: Batch, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one.images, other.images, atol=atol, rtol=0)
    torch.testing.assert_close(one.masks, other.masks)
    assert torch.equal(one.indices, other.indices)


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("options", [_DEFAULT, _CURVE])
def test_the_identity_leaves_a_batch_alone(
    shape: tuple[int, ...], options: AugmentationOptions
) -> None:
    batch = _noise(shape, channels=2)
    _assert_same(apply(batch, _parameters(torch.eye(len(shape))), options), batch)
    _assert_same(augment(batch, [], _NEVER, _generator()), batch)


@pytest.mark.parametrize("shape", _SHAPES)
def test_a_flip_is_a_flip(shape: tuple[int, ...]) -> None:
    batch = _noise(shape)
    for axis in range(len(shape)):
        matrix = torch.eye(len(shape))
        matrix[axis, axis] = -1
        flipped = apply(batch, _parameters(matrix), _DEFAULT)
        expected = batch.replace(
            images=batch.images.flip(2 + axis), masks=batch.masks.flip(2 + axis)
        )
        _assert_same(flipped, expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_rot90(quarters: int) -> None:
    batch = _noise((18, 18))
    angle = torch.tensor(quarters * math.pi / 2)
    matrix = torch.tensor(
        [[torch.cos(angle), -torch.sin(angle)], [torch.sin(angle), torch.cos(angle)]]
    )
    turned = apply(batch, _parameters(matrix), _DEFAULT)
    # The matrix says where to look, so what is seen turns the other way.
    expected = batch.replace(
        images=batch.images.rot90(-quarters, (2, 3)), masks=batch.masks.rot90(-quarters, (2, 3))
    )
    _assert_same(turned, expected)


def test_an_oblong_image_turns_in_voxels() -> None:
    # A disc stays a disc, although the image is half as high as it is wide.
    rows, columns = torch.meshgrid(
        torch.arange(20.0) - 9.5, torch.arange(40.0) - 19.5, indexing="ij"
    )
    disc = (rows.square() + columns.square()).sqrt()
    image = torch.sigmoid(6 - disc)[None, None]
    batch = Batch(image, (disc < 6).float()[None, None], torch.zeros(1, dtype=torch.int64))
    angle = torch.tensor(0.7)
    matrix = torch.tensor(
        [[torch.cos(angle), -torch.sin(angle)], [torch.sin(angle), torch.cos(angle)]]
    )
    turned = apply(batch, _parameters(matrix, 1), _DEFAULT)
    inside = disc < 9
    torch.testing.assert_close(turned.images[0, 0][inside], image[0, 0][inside], atol=0.02, rtol=0)
    # And a quarter turn moves the voxel 3 to the right of the centre 3 below it.
    spot = torch.zeros(1, 1, 21, 41)
    spot[0, 0, 10, 23] = 1
    batch = Batch(spot, spot, torch.zeros(1, dtype=torch.int64))
    turned = apply(batch, _parameters(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), 1), _DEFAULT)
    assert turned.masks[0, 0].nonzero().tolist() == [[13, 20]]


def test_scaling_looks_further_away() -> None:
    # Out(x) = in(2x): the image shrinks to half, and outside it there is nothing.
    batch = batch_of((32, 32), 1)
    small = apply(batch, _parameters(2 * torch.eye(2), 1), _DEFAULT)
    assert small.masks.sum() == pytest.approx(float(batch.masks.sum()) / 4, rel=0.15)
    assert not small.images[..., :7, :].any()
    assert not small.masks[..., :7, :].any()


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("options", [_ALWAYS, _DEFAULT, _CURVE])
def test_a_batch_is_its_samples_one_by_one(
    shape: tuple[int, ...], options: AugmentationOptions
) -> None:
    batch = _noise(shape, count=3)
    parameters = draw(3, len(shape), options, _generator())
    field = 3 * torch.randn(3, len(shape), *[5] * len(shape), generator=_generator(1))
    together = apply(batch, parameters, options, field)
    for row in range(3):
        here = slice(row, row + 1)
        alone = apply(
            Batch(batch.images[here], batch.masks[here], batch.indices[here]),
            Parameters(parameters.matrix[here], parameters.intensity[here]),
            options,
            field[here],
        )
        torch.testing.assert_close(alone.images, together.images[here], atol=1e-6, rtol=0)
        assert torch.equal(alone.masks, together.masks[here])


def test_a_batch_through_a_coarse_field_is_its_samples_one_by_one() -> None:
    # Samples that turn, and samples that only flip, through a coarse field.
    shape = (150, 170)
    batch = batch_of(shape, 6)
    batch = Batch(torch.cat([batch.images] * 2), torch.cat([batch.masks] * 2), torch.arange(12))
    parameters = draw(12, 2, _DEFAULT, _generator())
    turned = (parameters.matrix.abs() != torch.eye(2)).flatten(1).any(1)
    assert 2 < turned.sum() < 10
    field = 3 * torch.randn(12, 2, 9, 11, generator=_generator(1))
    together = apply(batch, parameters, _DEFAULT, field)
    assert together.images.shape == batch.images.shape
    for row in range(12):
        here = slice(row, row + 1)
        alone = apply(
            Batch(batch.images[here], batch.masks[here], batch.indices[here]),
            Parameters(parameters.matrix[here], parameters.intensity[here]),
            _DEFAULT,
            field[here],
        )
        torch.testing.assert_close(alone.images, together.images[here], atol=1e-4, rtol=0)
        assert (alone.masks != together.masks[here]).float().mean() < 1e-4


def test_no_gradient_is_kept() -> None:
    batch = _noise((16, 24))
    field = torch.zeros(2, 2, 4, 6, requires_grad=True)
    parameters = draw(2, 2, _ALWAYS, _generator())
    assert not apply(batch, parameters, _ALWAYS, field).images.requires_grad


@pytest.mark.parametrize("shape", _SHAPES)
def test_image_and_mask_move_together(shape: tuple[int, ...]) -> None:
    masks = batch_of(shape, 4).masks
    batch = Batch(masks.clone(), masks, torch.arange(4))
    options = AugmentationOptions(affine=1, intensity=0)
    field = 2 * torch.randn(4, len(shape), *[4] * len(shape), generator=_generator(1))
    moved = apply(batch, draw(4, len(shape), options, _generator()), options, field)
    assert torch.equal(moved.masks, (moved.images >= 0.5).float())
    assert not torch.equal(moved.masks, masks)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from(_SHAPES), st.sampled_from(["offset", "curve"]))
def test_masks_stay_masks_and_images_stay_in_range(
    seed: int, shape: tuple[int, ...], histogram: str
) -> None:
    options = AugmentationOptions.model_validate(
        {"affine": 1, "intensity": 1, "amplitude": 0.5, "histogram": histogram}
    )
    batch = batch_of(shape, 3)
    before = batch.images.clone(), batch.masks.clone()
    changed = augment(batch, [], options, _generator(seed))
    assert set(changed.masks.flatten().tolist()) <= {0.0, 1.0}
    assert changed.images.min() >= 0
    assert changed.images.max() <= 1
    assert changed.images.shape == batch.images.shape
    assert torch.equal(batch.images, before[0])
    assert torch.equal(batch.masks, before[1])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from([2, 3]),
    st.fixed_dictionaries(
        {name: st.floats(0, 1) for name in ("flip", "affine", "intensity", "scale", "amplitude")}
    ).filter(lambda ranges: ranges["scale"] < 1),
)
def test_what_is_drawn_does_not_depend_on_the_options(
    seed: int, dims: int, ranges: dict[str, float]
) -> None:
    options = AugmentationOptions.model_validate(ranges)
    one, other = _generator(seed), _generator(seed)
    draw(5, dims, options, one)
    draw(5, dims, _DEFAULT, other)
    assert torch.equal(one.get_state(), other.get_state())


def test_one_probability_leaves_the_other_draws_alone() -> None:
    always = draw(64, 2, AugmentationOptions(affine=1, intensity=1), _generator())
    often = draw(64, 2, AugmentationOptions(affine=0.5, intensity=1), _generator())
    assert torch.equal(always.intensity, often.intensity)
    same = (always.matrix == often.matrix).flatten(1).all(1)
    unturned = often.matrix.abs() == torch.eye(2)
    assert (same | unturned.flatten(1).all(1)).all()
    assert 10 < same.sum() < 54


@pytest.mark.parametrize("dims", [2, 3])
def test_draws_have_the_declared_ranges_and_frequencies(dims: int) -> None:
    count = 4000
    flips = draw(count, dims, AugmentationOptions(affine=0), _generator()).matrix
    shares = (torch.diagonal(flips, dim1=1, dim2=2) < 0).float().mean(0)
    assert shares.tolist() == pytest.approx([0.5] * dims, abs=0.04)
    scales = draw(
        count,
        dims,
        AugmentationOptions(flip=0, affine=1, rotation=0, shear=0, scale=0.1),
        _generator(),
    ).matrix
    diagonal = torch.diagonal(scales, dim1=1, dim2=2)
    torch.testing.assert_close(scales, torch.diag_embed(diagonal))
    assert 0.9 <= diagonal.min() < 0.905
    assert 1.095 < diagonal.max() <= 1.1
    turns = draw(
        count, dims, AugmentationOptions(flip=0, affine=1, scale=0, shear=0), _generator()
    ).matrix
    eye = torch.eye(dims).expand_as(turns)
    torch.testing.assert_close(turns @ turns.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(count))
    if dims == 2:
        angles = torch.atan2(turns[:, 1, 0], turns[:, 0, 0])
        assert angles.abs().max() == pytest.approx(math.pi / 10, rel=0.01)
        assert abs(float(angles.mean())) < 0.01
    shift = draw(count, dims, AugmentationOptions(intensity=0.3), _generator()).intensity
    assert shift.shape == (count, 1)
    assert float((shift != 0).float().mean()) == pytest.approx(0.3, abs=0.04)
    assert shift.abs().max() == pytest.approx(0.2, rel=0.02)


def test_a_shear_has_the_drawn_angle() -> None:
    options = AugmentationOptions(flip=0, affine=1, rotation=0, scale=0)
    shears = draw(4000, 2, options, _generator()).matrix
    torch.testing.assert_close(torch.diagonal(shears, dim1=1, dim2=2), torch.ones(4000, 2))
    for i, j in ((0, 1), (1, 0)):
        angle = torch.atan(shears[:, i, j]).abs().max()
        assert angle == pytest.approx(math.pi / 10, rel=0.01)


def test_an_offset_is_added_and_clipped() -> None:
    batch = _noise((16, 16))
    shifted = apply(batch, _parameters(torch.eye(2), intensity=0.2), _DEFAULT)
    torch.testing.assert_close(shifted.images, (batch.images + 0.2).clamp(0, 1))
    assert torch.equal(shifted.masks, batch.masks)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_an_intensity_curve_never_falls(seed: int, amplitude: float) -> None:
    options = AugmentationOptions(
        flip=0, affine=0, intensity=1, histogram="curve", amplitude=amplitude
    )
    ramp = torch.linspace(0, 1, 400).view(1, 1, 20, 20)
    batch = Batch(ramp, torch.zeros_like(ramp), torch.zeros(1, dtype=torch.int64))
    curve = augment(batch, [], options, _generator(seed)).images.flatten()
    assert (curve.diff() >= -1e-6).all()
    # Running maxima may lift a knot by its neighbour's shift, by the amplitude at most.
    assert (curve - ramp.flatten()).abs().max() <= amplitude + 1e-5


def test_intensity_curves_bend() -> None:
    options = AugmentationOptions(flip=0, affine=0, intensity=1, histogram="curve")
    batch = batch_of((20, 20), 4)
    change = (augment(batch, [], options, _generator()).images - batch.images).flatten(1)
    assert (change.std(dim=1) > 0.01).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_displacement_says_where_to_look(axis: int) -> None:
    batch = _noise((16, 24))
    field = torch.zeros(2, 2, 16, 24)
    field[:, axis] = 3
    moved = apply(batch, _parameters(torch.eye(2)), _DEFAULT, field)
    kept = batch.images.shape[2 + axis] - 3
    torch.testing.assert_close(
        moved.images.narrow(2 + axis, 0, kept), batch.images.narrow(2 + axis, 3, kept)
    )
    torch.testing.assert_close(
        moved.masks.narrow(2 + axis, 0, kept), batch.masks.narrow(2 + axis, 3, kept)
    )
    assert not moved.images.narrow(2 + axis, kept, 3).any()
    assert not moved.masks.narrow(2 + axis, kept, 3).any()


@pytest.mark.parametrize("shape", _SHAPES)
def test_a_coarse_field_covers_the_same_view(shape: tuple[int, ...]) -> None:
    # A linear displacement is the same on every grid, if cell centres are what is aligned.
    def stretch(grid: tuple[int, ...]) -> Tensor:
        axes = [(torch.arange(m) + 0.5) / m * n for m, n in zip(grid, shape, strict=True)]
        return 0.1 * torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]

    batch = batch_of(shape, 1)
    parameters = _parameters(torch.eye(len(shape)), 1)
    coarse = apply(batch, parameters, _DEFAULT, stretch(tuple(n // 4 for n in shape)))
    fine = apply(batch, parameters, _DEFAULT, stretch(shape))
    inside: tuple[EllipsisType | slice, ...] = (..., *[slice(3, -3) for _ in shape])
    torch.testing.assert_close(coarse.images[inside], fine.images[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", _SHAPES)
def test_a_batch_through_both_frames_is_its_samples_one_by_one(shape: tuple[int, ...]) -> None:
    batch = _noise(shape, count=3)
    parameters = draw(3, len(shape), _DEFAULT, _generator())
    coarse = 3 * torch.randn(3, len(shape), *[5] * len(shape), generator=_generator(1))
    fine = torch.randn(3, len(shape), *shape, generator=_generator(2))
    together = apply(batch, parameters, _DEFAULT, coarse, fine)
    for row in range(3):
        here = slice(row, row + 1)
        alone = apply(
            Batch(batch.images[here], batch.masks[here], batch.indices[here]),
            Parameters(parameters.matrix[here], parameters.intensity[here]),
            _DEFAULT,
            coarse[here],
            fine[here],
        )
        torch.testing.assert_close(alone.images, together.images[here], atol=1e-5, rtol=0)

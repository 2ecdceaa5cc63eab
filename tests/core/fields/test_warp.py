"""Displacements are voxels, in the array's axis order, and say where to look."""

from __future__ import annotations

import math
from itertools import product
from types import EllipsisType

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.fields.interpolation import Spline, cubic
from medscale.fields.warp import (
    affine_grid,
    affine_map,
    affine_then,
    compose,
    identity_grid,
    normalised,
    sample,
    then_affine,
    warp,
)


def _image(shape: tuple[int, ...], *, count: int = 1) -> Tensor:
    return torch.rand(count, 1, *shape, generator=torch.Generator().manual_seed(0))


def _constant(vector: tuple[float, ...], shape: tuple[int, ...]) -> Tensor:
    dims = len(shape)
    return torch.tensor(vector).view(1, dims, *[1] * dims).expand(1, dims, *shape)


def _inside(shape: tuple[int, ...], margin: int) -> tuple[EllipsisType | slice, ...]:
    """Return the index of everything but a margin."""
    return (..., *[slice(margin, -margin) for _ in shape])


def _smooth(shape: tuple[int, ...], amplitude: float, seed: int) -> Tensor:
    """Return a displacement that varies slowly and vanishes nowhere in particular."""
    dims = len(shape)
    place = identity_grid(shape, torch.zeros(()))
    phase = 6.28 * torch.rand(dims, dims, generator=torch.Generator().manual_seed(seed))
    waves = [torch.sin(2 * place + phase[axis]).mean(-1) for axis in range(dims)]
    return amplitude * torch.stack(waves, dim=1)


def test_a_displacement_says_where_to_look_along_the_array_s_axes() -> None:
    image = torch.arange(40.0).view(1, 1, 8, 5) + 1
    out = warp(image, _constant((3.0, 0.0), (8, 5)))
    torch.testing.assert_close(out[0, 0, :5], image[0, 0, 3:])
    assert not out[0, 0, 5:].any()
    out = warp(image, _constant((0.0, -1.0), (8, 5)))
    torch.testing.assert_close(out[0, 0, :, 1:], image[0, 0, :, :-1])
    assert not out[0, 0, :, 0].any()


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(4, 9), min_size=2, max_size=3))
def test_whole_voxels_are_moved_exactly(data: st.DataObject, sides: list[int]) -> None:
    shape = tuple(sides)
    moves = [data.draw(st.integers(1 - n, n - 1)) for n in shape]
    image = _image(shape)
    out = warp(image, _constant(tuple(map(float, moves)), shape))
    expected = torch.zeros_like(image)
    there: list[EllipsisType | slice] = [...]
    here: list[EllipsisType | slice] = [...]
    for move, n in zip(moves, shape, strict=True):
        there.append(slice(max(0, -move), n - max(0, move)))
        here.append(slice(max(0, move), n + min(0, move)))
    expected[tuple(there)] = image[tuple(here)]
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_the_border_may_be_continued() -> None:
    image = _image((6, 7))
    out = warp(image, _constant((0.0, 100.0), (6, 7)), padding="border")
    torch.testing.assert_close(out, image[..., -1:].expand_as(image))


def test_half_a_voxel_is_the_mean_of_two() -> None:
    image = _image((6, 7))
    out = warp(image, _constant((0.5, 0.0), (6, 7)))
    torch.testing.assert_close(out[..., :-1, :], (image[..., :-1, :] + image[..., 1:, :]) / 2)


@pytest.mark.parametrize("shape", [(9, 14), (7, 8, 10)])
def test_no_displacement_changes_nothing(shape: tuple[int, ...]) -> None:
    image = _image(shape, count=2)
    out = warp(image, torch.zeros(2, len(shape), *shape))
    torch.testing.assert_close(out, image, atol=1e-5, rtol=0)


def test_a_batch_is_its_images_one_by_one() -> None:
    shape = (9, 14)
    image = _image(shape, count=3)
    fields = torch.cat([_smooth(shape, 2.0, seed) for seed in range(3)])
    single = [warp(image[i : i + 1], fields[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(warp(image, fields), torch.cat(single))


def test_a_plane_is_a_slice_of_its_extrusion() -> None:
    shape = (9, 14)
    image, field = _image(shape), _smooth(shape, 2.0, 0)
    volume = image[..., None].expand(*image.shape, 5)
    along = torch.cat([field, torch.zeros(1, 1, *shape)], dim=1)[..., None]
    out = warp(volume, along.expand(*along.shape[:-1], 5))
    for depth in range(5):
        torch.testing.assert_close(out[..., depth], warp(image, field), atol=1e-5, rtol=1e-5)


def test_normalised_units_span_the_image() -> None:
    # One whole extent of the image is 2, and the last axis comes first.
    units = normalised(_constant((8.0, 5.0), (8, 5)) / 2, (8, 5))
    torch.testing.assert_close(units, torch.ones_like(units))
    units = normalised(_constant((8.0, 0.0), (8, 5)), (8, 5))
    torch.testing.assert_close(units[0, :, 0, 0], torch.tensor([0.0, 2.0]))


def test_sampling_the_identity_grid_is_the_image() -> None:
    image = _image((6, 7, 8))
    out = sample(image, identity_grid((6, 7, 8), image))
    torch.testing.assert_close(out, image, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.sampled_from([(40, 56), (20, 24, 28)]))
def test_composing_is_warping_twice(seed: int, shape: tuple[int, ...]) -> None:
    # The image of the coordinates themselves: linear, so that interpolating it is exact.
    image = torch.stack(torch.meshgrid(*[torch.arange(n) + 0.0 for n in shape], indexing="ij"))
    first, then = _smooth(shape, 2.5, seed), _smooth(shape, 2.0, seed + 1000)
    twice = warp(warp(image[None], first), then)
    inside = _inside(shape, 6)
    once = warp(image[None], compose(first, then))
    torch.testing.assert_close(once[inside], twice[inside], atol=1e-4, rtol=1e-4)
    swapped = warp(image[None], compose(then, first))
    assert (swapped - twice)[inside].abs().max() > 0.01


def test_composing_translations_adds_them() -> None:
    shape = (9, 14)
    total = compose(_constant((1.5, -2.0), shape), _constant((0.5, 3.0), shape))
    torch.testing.assert_close(total, _constant((2.0, 1.0), shape))


@pytest.mark.parametrize("shape", [(9, 14), (7, 8, 10)])
def test_composing_with_nothing_changes_nothing(shape: tuple[int, ...]) -> None:
    field = _smooth(shape, 2.0, 3)
    nothing = torch.zeros_like(field)
    torch.testing.assert_close(compose(nothing, field), field)
    torch.testing.assert_close(compose(field, nothing), field, atol=1e-5, rtol=1e-5)


def test_gradients_reach_image_and_displacement() -> None:
    image = _image((9, 14)).requires_grad_()
    field = _smooth((9, 14), 1.0, 0).requires_grad_()
    warp(image, field).square().sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert field.grad is not None
    assert field.grad.abs().sum() > 0


def _affine(dims: int, count: int = 3) -> Tensor:
    """Return matrices of about the strength that the baseline augmentation draws."""
    noise = torch.rand(count, dims, dims, generator=torch.Generator().manual_seed(dims))
    return torch.eye(dims) + 0.5 * noise - 0.25


def _voxels(grid: Tensor) -> Tensor:
    """Convert sampling grids (B, D, *S) to voxels from the image's centre, in the array's order."""
    shape = grid.shape[2:]
    half = torch.tensor([n / 2 for n in shape]).view(1, -1, *[1] * len(shape))
    return grid.flip(1) * half


def _centred(shape: tuple[int, ...]) -> Tensor:
    """Return the voxels' own coordinates (D, *S) from the image's centre."""
    axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("shape", [(20, 33), (8, 11, 14)])
def test_an_affine_grid_is_the_matrix_times_the_voxels(shape: tuple[int, ...]) -> None:
    dims = len(shape)
    matrix = _affine(dims)
    places = torch.einsum("bij,j...->bi...", matrix, _centred(shape))
    torch.testing.assert_close(_voxels(affine_grid(matrix, shape, shape)), places)
    torch.testing.assert_close(_voxels(affine_map(matrix, shape).dense()), places)
    # A lattice half as fine has its cells in the middle of four (or eight) of the image's.
    even = tuple(2 * n for n in shape)
    fine, coarse = affine_grid(matrix, even, even), affine_grid(matrix, even, shape)
    pool = F.avg_pool2d if dims == 2 else F.avg_pool3d
    torch.testing.assert_close(coarse, pool(fine, 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(20, 33), (8, 11, 14)])
def test_a_fine_displacement_is_taken_where_the_affine_map_leads(shape: tuple[int, ...]) -> None:
    dims = len(shape)
    matrix = _affine(dims)
    field = torch.randn(3, dims, *shape, generator=torch.Generator().manual_seed(0))
    grid = affine_grid(matrix, shape, shape)
    taken = sample(field, grid.movedim(1, -1), padding="border")
    expected = _voxels(grid) + taken
    torch.testing.assert_close(_voxels(affine_then(matrix, field, shape).dense()), expected)


@pytest.mark.parametrize("shape", [(20, 33), (8, 11, 14)])
def test_flips_take_a_displacement_to_the_bit(shape: tuple[int, ...]) -> None:
    dims = len(shape)
    field = torch.randn(1, dims, *shape, generator=torch.Generator().manual_seed(0))
    for signs in product([1.0, -1.0], repeat=dims):
        matrix = torch.diag(torch.tensor(signs))[None]
        axes = [axis for axis, sign in enumerate(signs, start=2) if sign < 0]
        expected = affine_grid(matrix, shape, shape)
        for axis, n in enumerate(shape):
            expected[:, -1 - axis].add_(field.flip(axes)[:, axis], alpha=2 / n)
        assert torch.equal(affine_then(matrix, field, shape).dense(), expected)


def _waves(places: Tensor, period: tuple[float, ...], amplitude: float) -> Tensor:
    """Return a smooth displacement (B, D, …) at places (B, D, …) in voxels from the centre."""
    phases = [places[:, axis] * 2 * math.pi / length for axis, length in enumerate(period)]
    parts = [
        torch.sin(phase + 1) * torch.cos(phases[axis - 1] - axis)
        for axis, phase in enumerate(phases)
    ]
    return amplitude * torch.stack(parts, dim=1)


@pytest.mark.parametrize(
    ("shape", "lattice"),
    [
        ((128, 128), (32, 32)),
        ((128, 128), (64, 64)),
        ((192, 128), (64, 32)),
        ((256, 256), (64, 64)),
        ((40, 48, 36), (20, 24, 18)),
    ],
)
def test_a_coarse_displacement_is_composed_to_a_twentieth_of_a_voxel(
    shape: tuple[int, ...], lattice: tuple[int, ...]
) -> None:
    dims = len(shape)
    # Waves of 14 lattice steps that shrink and stretch by two fifths.
    period = tuple(14 * n / m for n, m in zip(shape, lattice, strict=True))
    amplitude = min(period) / 16
    matrix = torch.cat([_affine(dims), torch.diag(torch.tensor([-1.0] + [1.0] * (dims - 1)))[None]])
    scale = torch.tensor([n / m for n, m in zip(shape, lattice, strict=True)])
    cells = _centred(lattice) * scale.view(-1, *[1] * dims)
    field = _waves(cells[None], period, amplitude).expand(4, dims, *lattice)
    places = torch.einsum("bij,j...->bi...", matrix, _centred(shape))
    expected = places + _waves(places, period, amplitude)
    error = (_voxels(affine_then(matrix, field, shape).dense()) - expected).norm(dim=1)
    # Outside the image there is no field but its continuation; two lattice steps feel that.
    room = torch.tensor(shape) / 2 - 3 * scale
    inside = (places.abs() < room.view(-1, *[1] * dims)).all(dim=1)
    inside &= (_centred(shape).abs() < room.view(-1, *[1] * dims)).all(dim=0)
    assert inside.float().mean() > 0.2
    assert float(error[inside].max()) < 0.05


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(24, 60), st.integers(24, 60)),
    lattice=st.tuples(st.integers(2, 16), st.integers(2, 16)),
)
def test_a_coarse_displacement_that_is_linear_is_composed_exactly(
    seed: int, shape: tuple[int, int], lattice: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    slope, shift = (torch.randn(3, 2, n, generator=generator) for n in (2, 1))
    matrix = torch.eye(2) + 0.3 * torch.randn(3, 2, 2, generator=generator)
    scale = (torch.tensor(shape) / torch.tensor(lattice)).view(2, 1)
    cells = _centred(lattice).flatten(1) * scale
    field = (slope @ cells + shift).view(3, 2, *lattice)
    places = matrix @ cells
    # Beyond the image it is what it is at its border.
    border = torch.tensor(shape).view(2, 1) / 2
    expected = places + slope @ places.clamp(-border, border) + shift
    found = affine_then(matrix, field, shape).values.flatten(2).flip(1) * border
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_what_is_compiled_composes_as_tensors_do() -> None:
    shape, lattice = (96, 128), (24, 32)
    field = _smooth((24, 32), 3.0, seed=0).expand(3, 2, *lattice).contiguous()
    matrix = _affine(2)
    compiled = affine_then(matrix, field, shape).dense()
    tensors = affine_then(matrix.double(), field.double(), shape).dense()
    off = (_voxels(compiled) - _voxels(tensors)).abs().amax(1)
    # Tensors take the centres of the outermost cells of a finer grid for the border.
    assert float(off.max()) < 0.05
    places = matrix @ _centred(shape).flatten(1)
    inside = (places.abs() < torch.tensor(shape).view(2, 1) / 2 - 4).all(1)
    assert 0.5 < float(inside.float().mean()) < 1
    assert float(off.flatten(1)[inside].max()) < 0.01


def test_a_map_that_looks_nowhere_reads_nothing_outside_the_memory() -> None:
    # Would be a crash, or numbers from elsewhere.
    matrix = torch.stack([torch.full((2, 2), value) for value in (math.nan, math.inf, 1e38, 1.0)])
    field = torch.zeros(4, 2, 8, 8)
    assert not affine_then(matrix, field, (32, 32)).values[:3].isfinite().all()


@pytest.mark.parametrize("shape", [(20, 33), (8, 11, 14)])
def test_a_displacement_is_turned_with_its_place(shape: tuple[int, ...]) -> None:
    dims = len(shape)
    flip = torch.diag(torch.tensor([-1.0] + [1.0] * (dims - 1)))[None]
    matrix = torch.cat([_affine(dims), flip])
    field = torch.randn(4, dims, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("bij,bj...->bi...", matrix, _centred(shape) + field)
    grid = then_affine(field, matrix, shape).dense()
    torch.testing.assert_close(_voxels(grid), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shape", "grid"), [((150, 233), (9, 7)), ((8, 11, 14), (3, 4, 5))])
def test_a_spline_is_turned_as_its_field_is(shape: tuple[int, ...], grid: tuple[int, ...]) -> None:
    dims = len(shape)
    generator = torch.Generator().manual_seed(0)
    matrix = _affine(dims)
    values = 3 * torch.randn(len(matrix), dims, *grid, generator=generator)
    spline = Spline(values, tuple(cubic(g, n) for g, n in zip(grid, shape, strict=True)))
    assert tuple(spline.dense().shape[2:]) == shape
    expected = then_affine(spline.dense(), matrix, shape)
    turned = then_affine(spline, matrix, shape)
    torch.testing.assert_close(turned.dense(), expected.dense(), atol=2e-6, rtol=0)
    # What was made so is a field like any other.
    twice = then_affine(turned, matrix, shape).dense()
    torch.testing.assert_close(
        twice, then_affine(turned.dense(), matrix, shape).dense(), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("shape", "lattice"), [((128, 128), (32, 32)), ((192, 128), (64, 32)), ((40, 48), (20, 24))]
)
def test_a_coarse_displacement_is_turned_to_a_twentieth_of_a_voxel(
    shape: tuple[int, ...], lattice: tuple[int, ...]
) -> None:
    # Waves of 14 lattice steps that shrink and stretch by two fifths.
    period = tuple(14 * n / m for n, m in zip(shape, lattice, strict=True))
    scale = torch.tensor([n / m for n, m in zip(shape, lattice, strict=True)])
    coarse, fine = (
        _waves(cells[None], period, min(period) / 16).expand(3, 2, *cells.shape[1:])
        for cells in (_centred(lattice) * scale.view(-1, 1, 1), _centred(shape))
    )
    matrix = _affine(2)
    expected = torch.einsum("bij,bj...->bi...", matrix, _centred(shape) + fine)
    error = (_voxels(then_affine(coarse, matrix, shape).dense()) - expected).norm(dim=1)
    assert float(error[..., 8:-8, 8:-8].max()) < 0.05


def test_a_translation_is_turned_from_any_grid() -> None:
    shape, matrix = (20, 33), _affine(2)
    shift = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(3, 2, 1, 1)
    turned = torch.einsum("bij,bj...->bi...", matrix, shift)
    expected = _voxels(affine_grid(matrix, shape, shape)) + turned
    for lattice in ((1, 1), (1, 5), (5, 1), (5, 6), shape):
        grid = then_affine(shift.expand(3, 2, *lattice), matrix, shape).dense()
        torch.testing.assert_close(_voxels(grid), expected, atol=1e-4, rtol=1e-5)


def test_a_translation_needs_no_grid() -> None:
    shape, matrix = (20, 33), _affine(2)
    shift = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)
    one = affine_then(matrix, shift.expand(3, 2, 1, 1), shape).dense()
    expected = _voxels(affine_grid(matrix, shape, shape)) + shift
    torch.testing.assert_close(_voxels(one), expected)
    for lattice in ((1, 5), (5, 1), shape):
        other = affine_then(matrix, shift.expand(3, 2, *lattice), shape).dense()
        torch.testing.assert_close(other, one, atol=1e-6, rtol=0)

"""Images and masks sampled at one map: the compiled loop beside torch's own sampling."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from medscale.fields.interpolation import Ramp, Spline, cubic
from medscale.fields.resampling import sample_together
from medscale.fields.warp import identity_grid

SIDES = st.integers(1, 19)


def _pixels(count: int, channels: int, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.rand(count, channels, *shape, generator=random)


def _expected(images: Tensor, masks: Tensor, grid: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return what double precision makes of images, and of masks before the threshold."""
    where = grid.movedim(1, -1).double()
    images, masks = (
        F.grid_sample(pixels.double(), where, align_corners=False) for pixels in (images, masks)
    )
    return (images + shift.view(-1, 1, 1, 1)).clamp(0, 1), masks


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(SIDES, SIDES),
    lattice=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(1, 3),
    channels=st.integers(1, 4),
    masks=st.integers(1, 2),
    far=st.sampled_from([0.1, 3.0]),
)
def test_the_compiled_loop_is_torch_s_sampling(
    seed: int,
    shape: tuple[int, int],
    lattice: tuple[int, int],
    count: int,
    channels: int,
    masks: int,
    far: float,
) -> None:
    random = torch.Generator().manual_seed(seed)
    pixels, labels = (_pixels(count, c, shape, random) for c in (channels, masks))
    values = far * torch.randn(count, 2, *lattice, generator=random)
    ramp = Ramp(
        torch.randn(count, 2, shape[0], generator=random),
        torch.randn(count, 2, generator=random),
        torch.randn(shape[1], generator=random),
    )
    bands = tuple(cubic(g, n) for g, n in zip(lattice, shape, strict=True))
    shift = 0.3 * torch.randn(count, generator=random)
    for where in (Spline(values, bands), Spline(values, bands, ramp)):
        images, mask = sample_together(pixels, labels, where, shift)
        expected, soft = _expected(pixels, labels, where.dense(), shift)
        # Rounding of the place, times the steepest that neighbours can differ.
        torch.testing.assert_close(images.double(), expected, atol=2e-4, rtol=0)
        sure = (soft - 0.5).abs() > 2e-4
        assert torch.equal(mask[sure].double(), (soft >= 0.5).double()[sure])
        assert set(mask.flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("shape", [(12, 9), (6, 5, 7)])
def test_the_identity_gives_the_pixels_back(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    pixels = _pixels(2, 1, shape, random)
    labels = _pixels(2, 1, shape, random).round()
    grid = identity_grid(shape, pixels).movedim(-1, 1).expand(2, len(shape), *shape)
    images, masks = sample_together(pixels, labels, Spline.through(grid, shape), torch.zeros(2))
    torch.testing.assert_close(images, pixels, atol=1e-5, rtol=0)
    assert torch.equal(masks, labels)
    assert images.is_contiguous()
    assert masks.is_contiguous()


def test_flat_and_solid_images_are_shifted_and_cut_alike() -> None:
    random = torch.Generator().manual_seed(0)
    flat = _pixels(3, 2, (8, 9), random)
    labels = _pixels(3, 1, (8, 9), random)
    shift = torch.tensor([0.4, 0.0, -0.4])
    grid = 0.9 * identity_grid((8, 9), flat).movedim(-1, 1).expand(3, 2, 8, 9)
    images, masks = sample_together(flat, labels, Spline.through(grid, (8, 9)), shift)
    # The same in a box of equal slices, between which the third axis does not look.
    deep = torch.cat([grid, torch.zeros(3, 1, 8, 9)], dim=1)[:, :, None].expand(3, 3, 4, 8, 9)
    boxes, labelled = (part[:, :, None].expand(*part.shape[:2], 4, 8, 9) for part in (flat, labels))
    solid, solid_masks = sample_together(boxes, labelled, Spline.through(deep, (4, 8, 9)), shift)
    torch.testing.assert_close(solid[:, :, 2], images, atol=1e-5, rtol=0)
    assert torch.equal(solid_masks[:, :, 2], masks)
    assert images.min() == 0
    assert images.max() == 1


@pytest.mark.parametrize("nowhere", [math.nan, math.inf, -math.inf, 1e30])
def test_where_a_map_leads_nowhere_there_is_nothing(nowhere: float) -> None:
    pixels, labels = torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    grid = identity_grid((16, 16), pixels).movedim(-1, 1).clone()
    grid[0, 1, 3, 5] = nowhere
    images, masks = sample_together(pixels, labels, Spline.through(grid, (16, 16)), torch.zeros(1))
    assert images[0, 0, 3, 5] == 0
    assert masks[0, 0, 3, 5] == 0
    # Lines that a row does not depend on have weight zero, and zero times NaN is NaN.
    assert torch.equal(images[0, 0, :, 6:], pixels[0, 0, :, 6:])
    assert set(images.flatten().tolist()) <= {0.0, 1.0}


def test_pixels_of_any_layout_are_taken_and_left_as_they_are() -> None:
    random = torch.Generator().manual_seed(0)
    pixels, labels = (_pixels(2, 3, (10, 11), random) for _ in range(2))
    grid = 0.7 * identity_grid((10, 11), pixels).movedim(-1, 1).expand(2, 2, 10, 11)
    where, shift = Spline.through(grid, (10, 11)), torch.zeros(2)
    expected = sample_together(pixels, labels, where, shift)
    last = pixels.to(memory_format=torch.channels_last).requires_grad_()
    before = last.detach().clone()
    for one, other in zip(sample_together(last, labels, where, shift), expected, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous()
        assert not one.requires_grad
    assert torch.equal(last, before)

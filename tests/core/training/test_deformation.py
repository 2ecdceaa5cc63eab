"""A batch is deformed as its displacements say, image and mask alike."""

from __future__ import annotations

import pytest
import torch

from medscale.fields.interpolation import resized
from medscale.testing.images import batch_of
from medscale.training.deformation import deform

SHAPES = pytest.mark.parametrize("shape", [(24, 16), (12, 8, 16)])


@SHAPES
@pytest.mark.parametrize("coarse", [False, True])
def test_a_shift_moves_image_and_mask_and_brings_in_nothing(
    shape: tuple[int, ...], coarse: bool
) -> None:
    batch = batch_of(shape, 2)
    before = batch.images.clone(), batch.masks.clone()
    grid = tuple(n // 4 for n in shape) if coarse else shape
    field = torch.zeros(2, len(shape), *grid)
    field[1, 0] = 3.0
    changed = deform(batch, field)
    for now, then in ((changed.images, batch.images), (changed.masks, batch.masks)):
        torch.testing.assert_close(now[0], then[0], atol=1e-5, rtol=0)
        # Pull-back: what is seen lies three voxels further on.
        torch.testing.assert_close(now[1, :, :-3], then[1, :, 3:], atol=1e-5, rtol=0)
        assert not now[1, :, -3:].any()
    assert torch.equal(changed.indices, batch.indices)
    assert torch.equal(batch.images, before[0])
    assert torch.equal(batch.masks, before[1])


@SHAPES
def test_a_single_zero_leaves_a_batch_as_it_is(shape: tuple[int, ...]) -> None:
    batch = batch_of(shape, 3)
    changed = deform(batch, torch.zeros(3, len(shape), *[1] * len(shape)))
    assert torch.equal(changed.images, batch.images)
    assert torch.equal(changed.masks, batch.masks)


def test_masks_stay_masks_and_coarse_fields_are_interpolated() -> None:
    batch = batch_of((24, 16), 2)
    field = torch.randn(2, 2, 6, 4, generator=torch.Generator().manual_seed(0))
    coarse, fine = deform(batch, field), deform(batch, resized(field, (24, 16)))
    assert torch.equal(coarse.images, fine.images)
    assert set(coarse.masks.flatten().tolist()) == {0.0, 1.0}
    assert coarse.masks.dtype == batch.masks.dtype
    # The boundary is where half of the mask is.
    half = torch.zeros_like(field[:, :, :1, :1])
    half[:, 1] = 0.25
    assert torch.equal(deform(batch, half.expand(2, 2, 24, 16)).masks, batch.masks)

"""Sampling images and masks where a map looks, in one pass from the map's coefficients."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medscale.fields.interpolation import Ramp, Spline, along_last
from medscale.fields.warp import sample


def sample_together(
    images: Tensor, masks: Tensor, where: Spline, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Sample images and masks linearly at one map, into memory of their own; zero outside.

    Flat images on a processor are resampled by a compiled loop, which makes each row of the map
    where it is used. It agrees with what `grid_sample` makes of the written grid up to rounding.

    Args:
        images: (B, C, *S) floating point.
        masks: (B, M, *S) of the same type.
        where: (B, D, *S) in normalised units, last axis first, as `warp.affine_grid`.
        shift: (B,) what is added to the images.

    Returns:
        Images (B, C, *S), clipped to [0, 1], and masks (B, M, *S) with threshold ½.
    """
    if images.ndim == 4 and images.device.type == "cpu" and images.dtype == torch.float32:
        return _compiled(images, masks, where, shift)
    # Finding a voxel's neighbours and weights is most of the work, and is done once.
    both = sample(torch.cat([images, masks], dim=1), where.dense().movedim(1, -1))
    new_images, new_masks = torch.split(both, [images.shape[1], masks.shape[1]], dim=1)
    by = shift.view(-1, *[1] * (images.ndim - 1))
    return (new_images + by).clamp_(0, 1), (new_masks >= 0.5).to(masks.dtype)


def _compiled(images: Tensor, masks: Tensor, where: Spline, shift: Tensor) -> tuple[Tensor, Tensor]:
    # Numba takes a while to import, and much of medscale does without.
    from medscale.fields import resampling_kernel

    starts, weights = where.bands[0].taps
    lines = along_last(where.values, where.bands[1])
    if weights.shape[1] > lines.shape[2]:
        lines = F.pad(lines, (0, 0, 0, weights.shape[1] - lines.shape[2]))
    offset, slope, across = (_array(part) for part in where.plus or _flat(images))
    new_images, new_masks = images.new_empty(images.shape), masks.new_empty(masks.shape)
    resampling_kernel.sample_together(
        _array(images),
        _array(masks),
        _array(lines),
        offset,
        slope,
        across,
        _array(shift),
        new_images.numpy(),
        new_masks.numpy(),
        starts,
        weights,
    )
    return new_images, new_masks


def _flat(images: Tensor) -> Ramp:
    """Return the ramp that adds nothing to a map of flat images (B, C, H, W)."""
    count, _, height, width = images.shape
    return Ramp(
        images.new_zeros(count, 2, height), images.new_zeros(count, 2), images.new_zeros(width)
    )


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().contiguous().numpy()
    return array

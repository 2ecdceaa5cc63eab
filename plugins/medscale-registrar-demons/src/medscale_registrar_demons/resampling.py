"""Smoothing fields and carrying them from grid to grid; all grids cover one field of view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 4.0
"""How far a Gaussian reaches, in standard deviations."""


def smooth(field: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Convolve (B, C, *S) with a Gaussian; at the border, only what is inside counts.

    Args:
        field: What to smooth.
        sigmas: Standard deviation along each axis of S, in voxels; 0 for none.
    """
    for axis, sigma in enumerate(sigmas, start=2):
        if sigma > 0:
            place = torch.arange(field.shape[axis], dtype=field.dtype, device=field.device)
            distance = (place - place[:, None]).abs() / sigma
            # Cut off, because the tails would be denormal numbers, which are slow.
            weights = torch.exp(-(distance**2) / 2) * (distance <= _REACH)
            weights = weights / weights.sum(1, keepdim=True)
            field = (field.movedim(axis, -1) @ weights.mT).movedim(-1, axis)
    return field


def refine(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Interpolate (B, C, *G) linearly to a finer grid (B, C, *shape)."""
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return F.interpolate(field, size=shape, mode=mode, align_corners=False)


def coarsen(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Average (B, C, *S) over the cells of a coarser grid (B, C, *shape)."""
    return F.interpolate(field, size=shape, mode="area")

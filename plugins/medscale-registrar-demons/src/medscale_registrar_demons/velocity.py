"""What a code means: a stationary velocity on a coarse grid, in shares of the field of view."""

from __future__ import annotations

import torch
from torch import Tensor

from medscale.fields.exponential import exponential
from medscale.fields.jacobian import jacobian_determinant
from medscale_registrar_demons.resampling import refine

_SHRINKING = 0.9
_SHRINKINGS = 7
"""A velocity that folds is shrunk at most this often, to about half."""


def flow(velocity: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return exp(v) as a displacement (B, D, *shape) in voxels, pull-back; NaN for NaN.

    Args:
        velocity: (B, D, *G) in shares of the field of view per unit of time.
        shape: Of the image.
    """
    return exponential(refine(velocity, shape) * per_axis(velocity, shape))


def without_folds(velocity: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Shrink the rows whose map or inverse folds at that shape; NaN where that does not help.

    The flow of a shrunk velocity is an earlier moment of the same flow.

    Args:
        velocity: (B, D, *G), see `flow`.
        shape: Of the image.

    Returns:
        (B, D, *G); each row as it was, a share of it, or NaN throughout.
    """
    for _ in range(_SHRINKINGS):
        regular = _is_regular(velocity, shape)
        if regular.all():
            return velocity
        velocity = torch.where(regular, velocity, _SHRINKING * velocity)
    return torch.where(_is_regular(velocity, shape), velocity, torch.nan)


def per_axis(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the shape as (1, D, 1, …), which turns shares of it into voxels."""
    return like.new_tensor(shape).view(1, -1, *[1] * len(shape))


def _is_regular(velocity: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (B, 1, …) whether det ∇φ > 0 everywhere, for the map and for its inverse."""
    there, back = (jacobian_determinant(flow(each, shape)) for each in (velocity, -velocity))
    least = torch.minimum(there, back).flatten(1).amin(1)  # NaN for NaN, which is not above 0
    return (least > 0).view(-1, *[1] * (velocity.ndim - 1))

"""Warping images by displacements, and composing displacements."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def normalised(displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Convert a displacement to the units and channel order of `grid_sample`.

    Args:
        displacement: (B, D, *G) in voxels of an image of that shape, array axis order.
        shape: The image's spatial shape S.

    Returns:
        (B, D, *G) in units where the image spans [-1, 1], last axis first.
    """
    scale = displacement.new_tensor([2.0 / n for n in reversed(shape)])
    return displacement.flip(1) * scale.view(1, -1, *[1] * len(shape))


def identity_grid(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return the sampling grid (1, *S, D) of the identity, in `grid_sample`'s units and order."""
    dims = len(shape)
    theta = torch.eye(dims, dims + 1, dtype=like.dtype, device=like.device)[None]
    return F.affine_grid(theta, [1, 1, *shape], align_corners=False)


def sample(image: Tensor, grid: Tensor, *, padding: str = "zeros") -> Tensor:
    """Sample (B, C, *S) linearly at a grid (B, *T, D) in normalised units.

    Args:
        image: What to sample.
        grid: Where, as `grid_sample` takes it.
        padding: "zeros" outside the image, or "border".
    """
    return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def warp(image: Tensor, displacement: Tensor, *, padding: str = "zeros") -> Tensor:
    """Pull an image back along a displacement, by linear interpolation.

    Args:
        image: (B, C, *S) floating point.
        displacement: (B, D, *S) in voxels.
        padding: "zeros" outside the image (as published for the augmentations), or "border".

    Returns:
        (B, C, *S), where out(x) = image(x + u(x)).
    """
    shape = tuple(image.shape[2:])
    grid = identity_grid(shape, image) + normalised(displacement, shape).movedim(1, -1)
    return sample(image, grid, padding=padding)


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Return the displacement of warping by `first` and then by `then`.

    warp(warp(image, first), then) = warp(image, compose(first, then)) up to interpolation:
    u(x) = then(x) + first(x + then(x)).

    Args:
        first: (B, D, *S) in voxels.
        then: (B, D, *S) in voxels.
    """
    return then + warp(first, then, padding="border")

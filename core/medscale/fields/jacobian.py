"""Jacobian determinants of maps, where folding is det ∇φ ≤ 0."""

from __future__ import annotations

import torch
from torch import Tensor


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Return det ∇(id + u) by central differences (one-sided at the border).

    Args:
        displacement: (B, D, *S) in voxels, D = 2 or 3, every axis at least 2 long.

    Returns:
        (B, *S); 1 where the map keeps volume, ≤ 0 where it folds.
    """
    dims = displacement.shape[1]
    gradient = torch.stack(
        [
            torch.stack(torch.gradient(displacement[:, d], dim=tuple(range(1, dims + 1))), -1)
            for d in range(dims)
        ],
        dim=-2,
    )
    identity = torch.eye(dims, dtype=displacement.dtype, device=displacement.device)
    determinant: Tensor = torch.linalg.det(gradient + identity)
    return determinant


def folding_share(displacement: Tensor) -> Tensor:
    """Return (B,) the share of voxels where the map folds."""
    return (jacobian_determinant(displacement) <= 0).flatten(1).float().mean(1)

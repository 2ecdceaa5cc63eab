"""Jacobian determinants of maps, where folding is det ∇φ ≤ 0."""

from __future__ import annotations

import itertools
import math

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
    # Rows of the map's gradient; written out, as a determinant of each voxel's own is slow.
    rows = [
        [slope + 1 if axis == row else slope for axis, slope in enumerate(slopes)]
        for row, slopes in enumerate(
            torch.gradient(displacement[:, d], dim=tuple(range(1, dims + 1))) for d in range(dims)
        )
    ]
    return _determinant(rows)


def least_determinant(displacement: Tensor) -> Tensor:
    """Return (B,) the least det ∇(id + u) at any corner of any cell of the grid.

    Where it is above 0, the map that is linear along each edge between neighbours folds nowhere.
    Central differences, which look two cells far, may miss a fold of one.

    Args:
        displacement: (B, D, *S) in voxels, D = 2 or 3, every axis at least 2 long.

    Returns:
        NaN for a map that is none somewhere: no comparison holds of it.
    """
    dims = displacement.shape[1]
    slopes = [displacement.diff(dim=axis) for axis in range(2, dims + 2)]
    least = displacement.new_full((len(displacement),), math.inf)
    for corner in itertools.product((0, 1), repeat=dims):
        at_corner = [
            _cut(slope, [side for a, side in enumerate(corner) if a != axis], axis)
            for axis, slope in enumerate(slopes)
        ]
        rows = [
            [
                slope[:, row] + 1 if axis == row else slope[:, row]
                for axis, slope in enumerate(at_corner)
            ]
            for row in range(dims)
        ]
        least = torch.minimum(least, _determinant(rows).flatten(1).amin(1))
    return least


def _cut(slope: Tensor, sides: list[int], axis: int) -> Tensor:
    """Return differences along an axis on the first or last side of the cells along the others."""
    others = [2 + a for a in range(slope.ndim - 2) if a != axis]
    for other, side in zip(others, sides, strict=True):
        slope = slope.narrow(other, side, slope.shape[other] - 1)
    return slope


def _determinant(rows: list[list[Tensor]]) -> Tensor:
    """Return the determinant of a matrix of 2 or 3 rows; for each voxel."""
    if len(rows) == 2:
        return _minor(rows, 0, 1)
    (a, b, c), *rest = rows
    return a * _minor(rest, 1, 2) - b * _minor(rest, 0, 2) + c * _minor(rest, 0, 1)


def _minor(rows: list[list[Tensor]], i: int, j: int) -> Tensor:
    """Return the determinant of two columns of two rows."""
    return rows[0][i] * rows[1][j] - rows[0][j] * rows[1][i]


def folding_share(displacement: Tensor) -> Tensor:
    """Return (B,) the share of voxels where the map folds."""
    return (jacobian_determinant(displacement) <= 0).flatten(1).float().mean(1)

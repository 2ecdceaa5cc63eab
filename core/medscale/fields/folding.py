"""Whether a map folds that is known on a coarse grid, and between its points by cubics."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.fields.interpolation import along_last, continued, cubic_edges, separable
from medscale.fields.jacobian import least_determinant

_PARTS = {2: 4, 3: 3}
"""Into how many parts the cells are cut to look at a map, by the number of axes."""

_NEAR = 0.4
"""Determinant at the points of the grid below which a map is looked at so closely, where that is
not compiled. Of 4,000 extrapolated codes in the plane 36 folded between points, all below 0.3."""


def least_between(fields: Tensor) -> Tensor:
    """Return (B,) the least det ∇φ of the maps that `resized` makes of displacements.

    All rows of a coarse grid may rise and the cubic through them fall in the middle, so that the
    map folds on an image's grid alone.

    Args:
        fields: (B, D, *G) displacements in voxels of G, D = 2 or 3, every axis at least 2 long.

    Returns:
        At the corners of the cells of a finer grid, up to the image's border; NaN for a map that is
        none somewhere. Narrower dips remain: of 4,000 maps in the plane, one that keeps 0.05 here
        fell below 0 on a grid 16 times as fine as its own.
    """
    parts = _PARTS[fields.shape[1]]
    if fields.shape[1] == 2 and fields.device.type == "cpu" and fields.dtype == torch.float32:
        return _compiled(fields, parts)
    # The image reaches half a cell beyond the centres of the grid's outermost cells.
    least = least_determinant(continued(fields))
    near = least < _NEAR
    if near.any():
        bands = [cubic_edges(n, parts) for n in fields.shape[2:]]
        least[near] = least_determinant(parts * separable(fields[near], bands))
    return least


def _compiled(fields: Tensor, parts: int) -> Tensor:
    # Numba takes a while to import, and much of medscale does without.
    from medscale.fields.folding_kernel import least_determinants

    rows, columns = (cubic_edges(n, parts) for n in fields.shape[2:])
    starts, weights = rows.taps
    lines = along_last(fields, columns)
    lines = F.pad(lines, (0, 0, 0, max(0, weights.shape[1] - lines.shape[2])))
    least = np.empty(len(fields), np.float32)
    least_determinants(lines.numpy(), starts, weights, parts, least)
    finite = fields.flatten(1).isfinite().all(1)
    return torch.where(finite, torch.from_numpy(least), torch.nan)

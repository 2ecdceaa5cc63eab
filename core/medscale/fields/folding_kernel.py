"""Determinants of flat maps between the points of their grids, compiled for the processor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medscale.fields.compiled import compiled

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def least_continued(fields: Floats, least: Floats) -> None:
    """Find the least det ∇(id + u) at any corner of any cell of a grid, and of one cell around it.

    Args:
        fields: (B, 2, H, W) u, which goes on in straight lines.
        least: (B,) where the determinants go; NaN where u is not finite.
    """
    count, _, height, width = fields.shape
    grown = np.empty((2, height + 2, width + 2), np.float32)
    lowest = np.empty(width + 1, np.float32)
    for b in range(count):
        # Zero times what is no number is none.
        finite = _ZERO
        for axis in range(2):
            for y in range(height):
                row, line = fields[b, axis, y], grown[axis, y + 1]
                for x in range(width):
                    line[x + 1] = row[x]
                    finite += row[x] * _ZERO
                line[0] = row[0] + (row[0] - row[1])
                line[width + 1] = row[width - 1] + (row[width - 1] - row[width - 2])
            for x in range(width + 2):
                first, last = grown[axis, 1, x], grown[axis, height, x]
                grown[axis, 0, x] = first + (first - grown[axis, 2, x])
                grown[axis, height + 1, x] = last + (last - grown[axis, height - 1, x])
        lowest[:] = np.inf
        for y in range(height + 1):
            _lower(grown[0, y], grown[1, y], grown[0, y + 1], grown[1, y + 1], lowest)
        least[b] = lowest.min() if finite == _ZERO else np.nan


@compiled
def least_between(
    lines: Floats, starts: Integers, weights: Floats, scale: float, least: Floats
) -> None:
    """Find the least det ∇(id + u) at any corner of any cell of a finer grid.

    Row y of u is scale · Σ_t weights[y, t] · lines[starts[y] + t]; it has to be finite.

    Args:
        lines: (B, 2, G, W).
        starts: (H,) the first line that a row depends on.
        weights: (H, T) of T lines from there.
        scale: To voxels of that grid.
        least: (B,) where the determinants go.
    """
    by, width = np.float32(scale), lines.shape[3]
    above, below = np.empty((2, width), np.float32), np.empty((2, width), np.float32)
    # Of each column of cells: a minimum over all would be taken one by one.
    lowest = np.empty(width - 1, np.float32)
    for b in range(len(lines)):
        lowest[:] = np.inf
        for y in range(len(starts)):
            below[:] = _ZERO
            for axis in range(2):
                for tap in range(weights.shape[1]):
                    weight, line = by * weights[y, tap], lines[b, axis, starts[y] + tap]
                    for x in range(width):
                        below[axis, x] += weight * line[x]
            if y > 0:
                _lower(above[0], above[1], below[0], below[1], lowest)
            above, below = below, above
        least[b] = lowest.min()


@compiled
def _lower(
    above: Floats, above_across: Floats, below: Floats, below_across: Floats, lowest: Floats
) -> None:
    """Lower each column's minimum to the corners of the cells between two rows of u.

    Args:
        above: (W,) displacements along the first axis.
        above_across: (W,) along the second axis.
        below: (W,) of the next row.
        below_across: (W,) of the next row.
        lowest: (W - 1,) minima.
    """
    for x in range(len(lowest)):
        top, top_across = above[x + 1] - above[x], above_across[x + 1] - above_across[x] + _ONE
        foot, foot_across = below[x + 1] - below[x], below_across[x + 1] - below_across[x] + _ONE
        left, left_across = below[x] - above[x] + _ONE, below_across[x] - above_across[x]
        right = below[x + 1] - above[x + 1] + _ONE
        right_across = below_across[x + 1] - above_across[x + 1]
        one = min(left * top_across - top * left_across, left * foot_across - foot * left_across)
        other = min(
            right * top_across - top * right_across, right * foot_across - foot * right_across
        )
        lowest[x] = min(lowest[x], min(one, other))

"""Flat displacements at the places of affine maps, compiled for the processor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medscale.fields.compiled import compiled

Floats = NDArray[np.float32]

_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_THREE_HALVES, _FIVE_HALVES = np.float32(1.5), np.float32(2.5)


@compiled
def affine_then(
    steps: Floats, down: Floats, across: Floats, displacements: Floats, unit: Floats, places: Floats
) -> None:
    """Find Ax + u(Ax) at the cells of a lattice that covers the image; u is sampled there, too.

    Between samples u is `interpolation.cubic`, beyond the image's border what it is at the border.
    Places are in units where the image spans [-1, 1], the column first.

    Args:
        steps: (B, 2, 2) A: how far places move, the column first, along each axis.
        down: (H,) centres of the cells along the first axis.
        across: (W,) along the second one.
        displacements: (B, 2, H, W) u, along the first axis first.
        unit: (2,) by which each component of u is multiplied to be in those units.
        places: (B, 2, H, W) to fill.
    """
    count, _, height, width = displacements.shape
    # Both components side by side, and two samples more on every side.
    stride = 2 * (width + 4)
    grown = np.empty((height + 4) * stride, np.float32)
    first = np.empty(width, np.uint32)
    rows, columns = np.empty((4, width), np.float32), np.empty((4, width), np.float32)
    for b in range(count):
        _grow(displacements[b], grown)
        a, c, d, e = steps[b, 0, 0], steps[b, 0, 1], steps[b, 1, 0], steps[b, 1, 1]
        for i in range(height):
            column, row = places[b, 0, i], places[b, 1, i]
            for j in range(width):
                column[j] = a * down[i] + c * across[j]
                row[j] = d * down[i] + e * across[j]
            _find(row, column, height, width, first, rows, columns)
            for j in range(width):
                here = np.uint64(first[j])
                one, other = _ZERO, _ZERO
                for tap in range(4):
                    line, line_other = _ZERO, _ZERO
                    for step in range(4):
                        line += columns[step, j] * grown[here + np.uint64(2 * step)]
                        line_other += columns[step, j] * grown[here + np.uint64(2 * step + 1)]
                    one += rows[tap, j] * line
                    other += rows[tap, j] * line_other
                    here += np.uint64(stride)
                row[j] += unit[0] * one
                column[j] += unit[1] * other


@compiled
def _grow(field: Floats, grown: Floats) -> None:
    """Lay a field (2, H, W) into the middle of (H + 4, W + 4, 2), flat; it goes on straight."""
    height, width = field.shape[1:]
    stride = 2 * (width + 4)
    for axis in range(2):
        for y in range(height):
            start, line = (y + 2) * stride + axis, field[axis, y]
            for x in range(width):
                grown[start + 2 * (x + 2)] = line[x]
            left, right = line[0] - line[1], line[width - 1] - line[width - 2]
            for step in range(1, 3):
                grown[start + 2 * (2 - step)] = line[0] + np.float32(step) * left
                grown[start + 2 * (width + 1 + step)] = line[width - 1] + np.float32(step) * right
    top, bottom = 2 * stride, (height + 1) * stride
    for x in range(stride):
        up, down = grown[top + x], grown[bottom + x]
        rise, fall = up - grown[top + stride + x], down - grown[bottom - stride + x]
        for step in range(1, 3):
            grown[top - step * stride + x] = up + np.float32(step) * rise
            grown[bottom + step * stride + x] = down + np.float32(step) * fall


@compiled
def _find(
    row: Floats,
    column: Floats,
    height: int,
    width: int,
    first: NDArray[np.uint32],
    rows: Floats,
    columns: Floats,
) -> None:
    """Find the samples around places, and their weights.

    Args:
        row: (W,) places along the first axis.
        column: (W,) along the second.
        height: Samples along the first axis.
        width: Samples along the second.
        first: (W,) where the numbers of the first of them go, as `_grow` lays them.
        rows: (4, W) where weights along the first axis go.
        columns: (4, W) along the second.
    """
    for j in range(len(first)):
        y = _sample_before(row[j], height)
        x = _sample_before(column[j], width)
        above, before = min(np.int32(y), np.int32(height)), min(np.int32(x), np.int32(width))
        first[j] = np.uint32(2) * np.uint32(above * np.int32(width + 4) + before)
        _weigh(y - np.float32(above), rows, j)
        _weigh(x - np.float32(before), columns, j)


@compiled
def _sample_before(place: np.float32, count: int) -> np.float32:
    """Return where a place in [-1, 1] is among samples, counted from one before the first one."""
    place = place if place > -_ONE else -_ONE
    place = place if place < _ONE else _ONE
    return _HALF * ((place + _ONE) * np.float32(count) - _ONE) + _ONE


@compiled
def _weigh(t: np.float32, weights: Floats, j: int) -> None:
    """Fill in the weights of four samples around a place, which is t beyond the second.

    Cubic convolution with a = -1/2 (Keys 1981, equation 15).
    """
    weights[0, j] = ((_ONE - _HALF * t) * t - _HALF) * t
    weights[1, j] = (_THREE_HALVES * t - _FIVE_HALVES) * t * t + _ONE
    weights[2, j] = ((_TWO - _THREE_HALVES * t) * t + _HALF) * t
    weights[3, j] = (_HALF * t - _HALF) * t * t

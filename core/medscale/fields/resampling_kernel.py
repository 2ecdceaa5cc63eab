"""Resampling of flat images on a processor: one pass from control points to pixels.

`grid_sample` reads a grid that somebody has written, and finds each pixel's neighbours again for
every channel. Here a row of the map is made where it is used, and image and mask are read two
planes at a time, side by side in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medscale.fields.compiled import compiled

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

# Literals of Python would turn all that they meet into double precision.
_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def sample_together(
    images: Floats,
    masks: Floats,
    lines: Floats,
    offset: Floats,
    slope: Floats,
    across: Floats,
    shift: Floats,
    new_images: Floats,
    new_masks: Floats,
    starts: Integers,
    weights: Floats,
) -> None:
    """Sample images and masks linearly where a map looks, with zeros outside.

    The map of row y is Σ_t weights[y, t] · lines[starts[y] + t] + offset[y] + slope · across, in
    units where the image spans [-1, 1], the column first. Where it is NaN, what is sampled is zero.

    Args:
        images: (B, C, H, W).
        masks: (B, M, H, W).
        lines: (B, 2, G, W).
        offset: (B, 2, H).
        slope: (B, 2).
        across: (W,).
        shift: (B,) what is added to the images, which then are clipped to [0, 1].
        new_images: Where the sampled images go.
        new_masks: Where the sampled masks go, 1 from ½ on.
        starts: (H,) the first line that a row depends on.
        weights: (H, T) of T lines from there; T is a multiple of 4.
    """
    count, channels, height, width = images.shape
    planes = channels + masks.shape[1]
    # Two planes at a time, with a border of zeros; one that is left over goes beside itself.
    pairs = np.zeros(((planes + 1) // 2, (height + 2) * (width + 2) * 2), np.float32)
    columns, rows = np.empty(width, np.float32), np.empty(width, np.float32)
    places = np.empty(width, np.uint32)
    for b in range(count):
        for pair in range(len(pairs)):
            one, other = 2 * pair, min(2 * pair + 1, planes - 1)
            _lay_side_by_side(
                images[b, one] if one < channels else masks[b, one - channels],
                images[b, other] if other < channels else masks[b, other - channels],
                pairs[pair],
            )
        for y in range(height):
            for axis, row in enumerate((columns, rows)):
                for x in range(width):
                    row[x] = offset[b, axis, y] + slope[b, axis] * across[x]
                _add_lines(lines[b, axis], starts[y], weights[y], row)
            _find(columns, rows, height, width, places)
            for pair in range(len(pairs)):
                one, other = 2 * pair, min(2 * pair + 1, planes - 1)
                _read(
                    pairs[pair],
                    places,
                    columns,
                    rows,
                    new_images[b, one, y] if one < channels else new_masks[b, one - channels, y],
                    new_images[b, other, y]
                    if other < channels
                    else new_masks[b, other - channels, y],
                )
            # While they are at hand.
            _shift(new_images[b], y, shift[b])
            _threshold(new_masks[b], y)


@compiled
def _lay_side_by_side(one: Floats, other: Floats, pair: Floats) -> None:
    """Write two planes (H, W) into the inside of a pair, (H + 2, W + 2, 2) flat."""
    height, width = one.shape
    for y in range(height):
        first = 2 * ((y + 1) * (width + 2) + 1)
        for x in range(width):
            pair[first + 2 * x] = one[y, x]
            pair[first + 2 * x + 1] = other[y, x]


@compiled
def _add_lines(lines: Floats, start: int, weights: Floats, row: Floats) -> None:
    """Add T weighted lines to a row (W,)."""
    for tap in range(0, len(weights), 4):
        # Four at a time, so that the row is written once for most interpolations.
        a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        first, second = lines[start + tap], lines[start + tap + 1]
        third, fourth = lines[start + tap + 2], lines[start + tap + 3]
        for x in range(len(row)):
            row[x] += (a * first[x] + b * second[x]) + (c * third[x] + d * fourth[x])


@compiled
def _find(
    columns: Floats, rows: Floats, height: int, width: int, places: NDArray[np.uint32]
) -> None:
    """Turn places in [-1, 1] into the pixel before each, in a pair, and the way to the next.

    Args:
        columns: (W,) places along the last axis; then shares of the way to the next column.
        rows: (W,) the same along the first axis.
        height: Of the image.
        width: Of the image.
        places: (W,) where the numbers of the pixel go.
    """
    wide, high = np.float32(width), np.float32(height)
    for x in range(len(places)):
        column = _HALF * (wide * columns[x] + wide + _ONE)
        row = _HALF * (high * rows[x] + high + _ONE)
        # In this order, so that NaN goes to zero.
        column = column if column > _ZERO else _ZERO
        row = row if row > _ZERO else _ZERO
        left = min(np.int32(min(column, wide)), np.int32(width))
        above = min(np.int32(min(row, high)), np.int32(height))
        columns[x] = min(column, wide + _ONE) - np.float32(left)
        rows[x] = min(row, high + _ONE) - np.float32(above)
        places[x] = np.uint32(2) * np.uint32(above * np.int32(width + 2) + left)


@compiled
def _read(
    pair: Floats,
    places: NDArray[np.uint32],
    columns: Floats,
    rows: Floats,
    one: Floats,
    other: Floats,
) -> None:
    """Interpolate a row of both planes of a pair."""
    next_row, next_column = np.uint32(2 * (len(places) + 2)), np.uint32(2)
    plane = np.uint32(1)
    for x in range(len(places)):
        above, right, down = places[x], columns[x], rows[x]
        below = above + next_row
        # Both planes in each step: what lies side by side is read at once.
        top, top_other = pair[above], pair[above + plane]
        bottom, bottom_other = pair[below], pair[below + plane]
        top += right * (pair[above + next_column] - top)
        top_other += right * (pair[above + next_column + plane] - top_other)
        bottom += right * (pair[below + next_column] - bottom)
        bottom_other += right * (pair[below + next_column + plane] - bottom_other)
        one[x] = top + down * (bottom - top)
        other[x] = top_other + down * (bottom_other - top_other)


@compiled
def _shift(images: Floats, y: int, shift: float) -> None:
    """Add a number to a row of images (C, H, W) and clip it to [0, 1], in place."""
    for c in range(images.shape[0]):
        row = images[c, y]
        for x in range(len(row)):
            row[x] = min(max(row[x] + shift, _ZERO), _ONE)


@compiled
def _threshold(masks: Floats, y: int) -> None:
    """Set a row of masks (M, H, W) to 1 from ½ on and to 0 below, in place."""
    for m in range(masks.shape[0]):
        row = masks[m, y]
        for x in range(len(row)):
            row[x] = _ONE if row[x] >= _HALF else _ZERO

"""Curves with a width: vessels, wires and letters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medscale_dataset_phantom.draws import Draws, spline_basis
from medscale_dataset_phantom.shapes import Array


@dataclass(frozen=True)
class Curves:
    """N curves of T points each.

    Attributes:
        points: (N, T, 2) x and y in half fields of view.
        headings: (N, T) direction in radians, from x towards y.
        radii: (N, T) half the width, in half fields of view.
    """

    points: Array
    headings: Array
    radii: Array


def grow(
    draws: Draws,
    *,
    start: Array,
    heading: Array,
    length: Array,
    radius: Array,
    bend: Array,
    wander: float,
    size: int,
    taper: float = 0.5,
) -> Curves:
    """Grow winding curves, all at once.

    Args:
        draws: Stream to use.
        start: (N, 2) where they begin.
        heading: (N,) direction at the start, radians.
        length: (N,) half fields of view.
        radius: (N,) half the width at the start.
        bend: (N,) total turn from start to end, radians.
        wander: Standard deviation of the winding about that, radians.
        size: Pixels of a side; two points are then at most about half a pixel apart.
        taper: Share of the width that is left at the end.
    """
    steps = max(4, int(np.ceil(length.max() * size)))
    along = (np.arange(steps) + 0.5) / steps
    basis = spline_basis(steps, 5)
    winding = draws.generator.standard_normal((len(start), basis.shape[1])) @ basis.T
    headings = heading[:, None] + bend[:, None] * along + wander * (winding - winding[:, :1])
    step = (length / steps)[:, None]
    path = np.stack([np.cos(headings) * step, np.sin(headings) * step], axis=-1)
    points = start[:, None] + np.cumsum(path, axis=1)
    radii = radius[:, None] * (1 - (1 - taper) * along)
    return Curves(points, headings, radii)


def branch(
    draws: Draws,
    parents: Curves,
    each: int,
    *,
    length: float,
    thinner: float,
    wander: float,
    size: int,
) -> Curves:
    """Let every curve sprout `each` thinner side branches to alternating sides."""
    count, steps = parents.headings.shape
    share = (np.arange(each) + draws.generator.uniform(0.4, 0.9, (count, each))) / (each + 0.2)
    at = np.minimum((share * steps).astype(np.int64), steps - 1)
    who = np.repeat(np.arange(count), each)
    at = at.ravel()
    side = np.where((np.arange(count)[:, None] + np.arange(each)) % 2, 1.0, -1.0).ravel()
    turn = draws.generator.uniform(0.5, 1.1, count * each)
    stretch = draws.generator.uniform(0.5, 1.3, count * each)
    return grow(
        draws,
        start=parents.points[who, at],
        heading=parents.headings[who, at] + side * turn,
        length=length * stretch,
        radius=parents.radii[who, at] * thinner,
        bend=-side * turn * 0.6,
        wander=wander,
        size=size,
    )


def polyline(corners: Array, radius: float, size: int) -> Curves:
    """Return one curve through corners (M, 2) with an even width, headings left at zero."""
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    places = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = np.linspace(0, places[-1], max(2, int(np.ceil(places[-1] * size))))
    points = np.stack([np.interp(steps, places, corners[:, axis]) for axis in (0, 1)], axis=-1)
    flat = np.zeros((1, len(steps)))
    return Curves(points[None], flat, flat + radius)


def stamp(canvas: Array, curves: Curves, strength: float = 1.0) -> None:
    """Raise the canvas (size, size) to the coverage of the curves, in place.

    Every point stamps a soft disc and the largest value stays, so the order does not matter.
    """
    size = canvas.shape[0]
    column, row = ((curves.points[..., axis].ravel() + 1) * size / 2 - 0.5 for axis in (0, 1))
    radius = curves.radii.ravel() * size / 2
    reach = int(np.ceil(radius.max() + 0.5))
    seen = (np.abs(column - size / 2) < size / 2 + reach) & (
        np.abs(row - size / 2) < size / 2 + reach
    )
    column, row, radius = column[seen], row[seen], radius[seen]
    offsets = np.arange(-reach, reach + 1)
    rows = np.rint(row).astype(np.int64)[:, None, None] + offsets[:, None]
    columns = np.rint(column).astype(np.int64)[:, None, None] + offsets
    distance = np.hypot(rows - row[:, None, None], columns - column[:, None, None])
    cover = np.clip(0.5 + radius[:, None, None] - distance, 0, 1)
    rows, columns = np.broadcast_arrays(rows, columns)
    inside = (cover > 0) & (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    np.maximum.at(canvas, (rows[inside], columns[inside]), strength * cover[inside])

"""Where a reference line's label stands: at the end, and on the side, where it hides least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medscale.laws.families import Array
from medscale.report.chart import Chart, Curve, Frame, Panel

_LETTER, _HEIGHT = 0.02, 0.08
"""Width of a letter and height of a line of text, as shares of the axes."""
_STEP = 0.01
"""From one point of a line that is looked at to the next, as a share of the axes."""


class Place(NamedTuple):
    """Where a label stands.

    Attributes:
        right: At the right end of its line; else at the left one.
        above: Above its line; else below it.
    """

    right: bool
    above: bool


def label_place(chart: Chart, panel: Panel, axes: Frame) -> Place:
    """Return where the reference's label hides the fewest marks, and then the least of lines.

    Args:
        chart: It has a reference.
        panel: What is drawn.
        axes: `chart.frame(chart)`.
    """
    line = float(_share(chart.reference, axes.y))
    width = _LETTER * len(chart.reference_label)
    marks, lines = [np.empty((0, 2))], [np.empty((0, 2))]
    for curve in panel.curves:
        marks += [_places(curve, axes, [mark.n], [mark.value]) for mark in curve.marks]
        lines += [_along(_places(curve, axes, drawn.n, drawn.values)) for drawn in curve.lines]
        if chart.bars:
            ends = [(mark.n, mark.low, mark.high) for mark in curve.marks if mark.low >= 0]
            lines += [_along(_places(curve, axes, [n, n], bar)) for n, *bar in ends]

    def hidden(place: Place) -> list[int]:
        least = np.array([1 - width if place.right else 0, line - (not place.above) * _HEIGHT])
        most = least + np.array([width, _HEIGHT])
        return [
            int(((least <= drawn) & (drawn <= most)).all(axis=1).sum())
            for drawn in map(np.concatenate, (marks, lines))
        ]

    sides = [line + _HEIGHT <= 1, line - _HEIGHT >= 0]
    places = [
        Place(right=right, above=above)
        for right in (True, False)
        for above, fits in zip((True, False), sides, strict=True)
        if fits
    ]
    return min(places, key=hidden)


def _places(curve: Curve, axes: Frame, n: Sequence[float], values: Sequence[float]) -> Array:
    """Return (P, 2) places of points as shares of the axes, from the lower left."""
    x = _share(np.array(n) * curve.shift, axes.x)
    return np.stack([x, _share(np.clip(values, *axes.y_reach), axes.y)], axis=1)


def _share(value: float | Array, ends: tuple[float, float]) -> Array:
    share: Array = np.log(np.asarray(value) / ends[0]) / np.log(ends[1] / ends[0])
    return share


def _along(places: Array) -> Array:
    """Return points, evenly apart, along the line that joins places."""
    travelled = np.append(0, np.abs(np.diff(places, axis=0)).sum(axis=1).cumsum())
    steps = np.arange(0, travelled[-1], _STEP)
    return np.stack([np.interp(steps, travelled, column) for column in places.T], axis=1)

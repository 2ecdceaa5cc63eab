"""A chart as data: drawn into the page by `svg`, and by matplotlib for the figures' files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

_FEW, _MANY = (
    tuple(m * 10.0**e for e in range(-9, 7) for m in steps)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
)
_MOST_TICKS = 9
_ROOM = 2.0
"""How far beyond the estimates an interval may stretch the axis: a wide one must not press the
curves together."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One estimate.

    Attributes:
        n: Training images.
        value: The estimate.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
        text: What is said about it when it is pointed at.
        hollow: Whether it is no measurement: a forecast, or only a bound.
    """

    n: float
    value: float
    low: float
    high: float
    text: str
    hollow: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """A stretch of a curve.

    Attributes:
        kind: "data" joins observed means; "law" is a fit, within the sizes that were run;
            "forecast" goes beyond them; "beyond" is out of the range in which it is trusted.
        n: Training images of its points.
        values: (len(n),)
        lows: Lower edge of its band, or empty.
        highs: Upper edge.
    """

    kind: str
    n: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One trial.

    Attributes:
        n: Training images.
        value: Its error.
        empty: Whether it predicts background in every test case.
    """

    n: float
    value: float
    empty: bool


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one arm shows in a panel.

    Attributes:
        arm: Its label.
        number: Its place among the arms of the page: colour and shape of its marks.
        marks: Estimates with intervals.
        lines: Lines and bands.
        dots: Single trials.
        shift: Factor on n at which all of it is drawn, so that arms do not hide each other.
    """

    arm: str
    number: int
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...] = ()
    shift: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes.

    Attributes:
        title: Task and network.
        curves: One for each arm.
        notes: Sentences to read beneath it.
        trusted: Size up to which the forecasts are trusted, or NaN.
    """

    title: str
    curves: tuple[Curve, ...]
    notes: tuple[str, ...] = ()
    trusted: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Panels that share their axes, both logarithmic.

    Attributes:
        name: Stem of its files.
        title: What it shows, as a heading.
        caption: How to read it.
        y_label: Of the vertical axis.
        columns: How many panels stand side by side where there is room.
        panels: At least one.
        table: The numbers behind it.
        reference: Height of a horizontal line; NaN for none.
        reference_label: What stands at it.
        bars: Whether intervals are bars at the marks.
    """

    name: str
    title: str
    caption: str
    y_label: str
    columns: int
    panels: tuple[Panel, ...]
    table: pd.DataFrame
    reference: float = math.nan
    reference_label: str = ""
    bars: bool = False

    @property
    def arms(self) -> dict[str, int]:
        """The arms that are drawn, with their numbers."""
        return {curve.arm: curve.number for panel in self.panels for curve in panel.curves}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The axes of a chart's panels."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]

    @property
    def y_reach(self) -> tuple[float, float]:
        """Heights between which numbers are drawn: 0 and ∞ have no place on a logarithmic axis."""
        low, high = self.y
        return low / 10, high * 10


def frame(chart: Chart) -> Frame:
    """Return axes that hold every dot, mark and line, and of wide intervals a part."""
    curves = [curve for panel in chart.panels for curve in panel.curves]
    points = [(mark.n, mark.value) for curve in curves for mark in curve.marks]
    points += [(dot.n, dot.value) for curve in curves for dot in curve.dots]
    points += [
        point
        for curve in curves
        for line in curve.lines
        for point in zip(line.n, line.values, strict=True)
    ]
    heights = [y for _, y in points if 0 < y < math.inf]
    if chart.reference > 0:
        heights.append(chart.reference)
    widths = [x for x, _ in points] or [1.0, 2.0]
    heights = heights or [0.1, 1.0]
    if not any(curve.dots for curve in curves):
        least, most = min(heights), max(heights)
        ends = [end for curve in curves for mark in curve.marks for end in (mark.low, mark.high)]
        heights += [min(max(end, least / _ROOM), most * _ROOM) for end in ends if end >= 0]
    x = min(widths) / 1.25, max(widths) * 1.25
    y = min(heights) / 1.15, max(heights) * 1.15
    sizes = sorted({mark.n for curve in curves for mark in curve.marks}) or [1.0]
    return Frame(x=x, y=y, x_ticks=_spread(sizes), y_ticks=_heights(*y))


def _heights(low: float, high: float) -> tuple[float, ...]:
    ticks = [tick for tick in (_FEW if high / low > 30 else _MANY) if low <= tick <= high]
    if len(ticks) >= 2:
        return _spread(ticks)
    # A flat curve: round numbers are too far apart.
    step = 10 ** math.floor(math.log10(high - low))
    first = math.ceil(low / step)
    return _spread([step * k for k in range(first, math.floor(high / step) + 1)])


def _spread(values: Iterable[float]) -> tuple[float, ...]:
    """Return at most nine of the values, evenly, so that labels do not collide."""
    values = tuple(values)
    return values[:: -(-len(values) // _MOST_TICKS) or 1]

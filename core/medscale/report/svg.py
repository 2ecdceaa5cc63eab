"""A panel of a chart as inline SVG: text stays text, and names can be nothing else.

Colours are classes (`arm-0`, `arm-1`, …), so that the page's style gives them for light, dark and
print, and can hide an arm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

from medscale.laws.forecast import format_count
from medscale.report.chart import Chart, Curve, Frame, Line, Panel
from medscale.report.label_place import Place, label_place
from medscale.report.wording import number

WIDTH, HEIGHT = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 14, 44

SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.5,-3.5h7v7h-7z",
    "M0,-4.6L4.4,3.4H-4.4z",
    "M0,-5L4.6,0L0,5L-4.6,0z",
)
"""Marks of the arms around (0, 0), told apart without colour."""


def draw(chart: Chart, panel: Panel, axes: Frame) -> str:
    """Return one panel as an `<svg>` element.

    Args:
        chart: Which it belongs to.
        panel: What to draw.
        axes: `chart.frame(chart)`.
    """
    plot = _Plot(axes)
    root = ET.Element(
        "svg",
        {
            "class": "panel",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-label": f"{chart.title}: {panel.title}",
        },
    )
    _axes(root, plot, axes, chart.y_label)
    # An inner svg cuts off what leaves the axes, without an id that a page could hold twice.
    inner = ET.SubElement(
        root,
        "svg",
        {
            "x": f"{_LEFT}",
            "y": f"{_TOP}",
            "width": f"{plot.width}",
            "height": f"{plot.height}",
        },
    )
    if math.isfinite(panel.trusted):
        _vertical(inner, plot, panel.trusted)
    for curve in panel.curves:
        _curve(inner, plot, curve, bars=chart.bars)
    if chart.reference > 0:
        place = label_place(chart, panel, axes)
        _horizontal(inner, plot, chart.reference, chart.reference_label, place)
    _hover_columns(inner, plot, panel.curves)
    return ET.tostring(root, encoding="unicode")


class _Plot:
    """From numbers to places inside the axes."""

    def __init__(self, axes: Frame, shift: float = 1.0) -> None:
        self.width, self.height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        self._axes, self._shift = axes, shift

    def shifted(self, shift: float) -> _Plot:
        """Return the same axes with every n drawn at a multiple of itself."""
        return _Plot(self._axes, shift)

    def x(self, n: float) -> float:
        low, high = self._axes.x
        return round(self.width * math.log(n * self._shift / low) / math.log(high / low), 1)

    def y(self, value: float) -> float:
        (low, high), (least, most) = self._axes.y, self._axes.y_reach
        value = min(max(value, least), most)
        return round(self.height * (1 - math.log(value / low) / math.log(high / low)), 1)


def _axes(root: ET.Element, plot: _Plot, axes: Frame, y_label: str) -> None:
    group = ET.SubElement(root, "g", {"class": "axes"})
    bottom, right = _TOP + plot.height, _LEFT + plot.width
    for tick in axes.y_ticks:
        y = _TOP + plot.y(tick)
        _line(group, _LEFT, y, right, y, "grid")
        _text(group, _LEFT - 7, y + 4, number_label(tick), anchor="end")
    for tick in axes.x_ticks:
        x = _LEFT + plot.x(tick)
        _line(group, x, bottom, x, bottom + 4, "tick")
        _text(group, x, bottom + 17, format_count(tick))
    _line(group, _LEFT, bottom, right, bottom, "tick")
    _text(group, _LEFT + plot.width / 2, HEIGHT - 8, "annotated training images n")
    label = _text(group, 0, 0, y_label)
    label.set("transform", f"translate(12,{_TOP + plot.height / 2}) rotate(-90)")


def number_label(value: float) -> str:
    """Return a tick's label, without trailing zeros."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _vertical(parent: ET.Element, plot: _Plot, n: float) -> None:
    x = plot.x(n)
    _line(parent, x, 0, x, plot.height, "limit")
    ET.SubElement(
        parent,
        "rect",
        {
            "class": "untrusted",
            "x": f"{x}",
            "y": "0",
            "width": f"{max(0, plot.width - x):.1f}",
            "height": f"{plot.height}",
        },
    )
    _text(parent, x - 5, 12, f"trusted up to {format_count(round(n))}", anchor="end").set(
        "class", "label"
    )


def _horizontal(parent: ET.Element, plot: _Plot, value: float, label: str, place: Place) -> None:
    y = plot.y(value)
    _line(parent, 0, y, plot.width, y, "reference")
    x, anchor = (plot.width - 4, "end") if place.right else (4, "start")
    text = _text(parent, x, y - 5 if place.above else y + 15, label, anchor=anchor)
    text.set("class", "label")


def _curve(parent: ET.Element, plot: _Plot, curve: Curve, *, bars: bool) -> None:
    group = ET.SubElement(parent, "g", {"class": f"arm arm-{curve.number}"})
    plot = plot.shifted(curve.shift)
    for line in curve.lines:
        for stretch in _bands(line):
            ET.SubElement(group, "path", {"class": "band", "d": _band(plot, stretch)})
    for dot in curve.dots:
        x, y = plot.x(dot.n), plot.y(dot.value)
        if dot.empty:
            cross = f"M{x - 3},{y - 3}l6,6m0,-6l-6,6"
            ET.SubElement(group, "path", {"class": "cross", "d": cross})
        else:
            ET.SubElement(group, "circle", {"class": "dot", "cx": f"{x}", "cy": f"{y}", "r": "1.8"})
    for line in curve.lines:
        points = _points(plot, line.n, line.values)
        ET.SubElement(group, "polyline", {"class": f"line {line.kind}", "points": points})
    for mark in curve.marks:
        if bars and not math.isnan(mark.low):
            x = plot.x(mark.n)
            _line(group, x, plot.y(mark.low), x, plot.y(mark.high), "bar")
        place = {"transform": f"translate({plot.x(mark.n)},{plot.y(mark.value)})"}
        kind = "mark hollow" if mark.hollow else "mark"
        shape = SHAPES[curve.number % len(SHAPES)]
        element = ET.SubElement(group, "path", {"class": kind, "d": shape, **place})
        element.set("data-n", f"{mark.n:g}")
        # Shown by every browser when the mark is pointed at; the page's script reads it, too.
        ET.SubElement(element, "title").text = mark.text


def _bands(line: Line) -> list[list[tuple[float, float, float]]]:
    """Return the stretches of a band, as (n, low, high), between points that have no interval."""
    stretches: list[list[tuple[float, float, float]]] = [[]]
    for n, low, high in zip(line.n, line.lows, line.highs, strict=False):
        if math.isnan(low) or math.isnan(high):
            stretches.append([])
        else:
            stretches[-1].append((n, low, high))
    return [stretch for stretch in stretches if stretch]


def _band(plot: _Plot, stretch: Sequence[tuple[float, float, float]]) -> str:
    if len(stretch) == 1:
        # An interval that stands alone: a bar.
        n, low, high = stretch[0]
        return f"M{plot.x(n) - 3},{plot.y(low)}h6V{plot.y(high)}h-6z"
    upper = _points(plot, (n for n, _, _ in stretch), (high for _, _, high in stretch))
    back = stretch[::-1]
    lower = _points(plot, (n for n, _, _ in back), (low for _, low, _ in back))
    return f"M{upper} L{lower}z"


def _points(plot: _Plot, n: Iterable[float], values: Iterable[float]) -> str:
    return " ".join(f"{plot.x(x)},{plot.y(y)}" for x, y in zip(n, values, strict=True))


def _hover_columns(parent: ET.Element, plot: _Plot, curves: Sequence[Curve]) -> None:
    """Add a strip for each size; the page's script shows there what all arms have at it."""
    sizes = sorted({mark.n for curve in curves for mark in curve.marks})
    if not sizes:
        return
    places = [plot.x(size) for size in sizes]
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(places)), plot.width]
    for size, (left, right) in zip(sizes, pairwise(edges), strict=True):
        ET.SubElement(
            parent,
            "rect",
            {
                "class": "column",
                "data-n": f"{size:g}",
                "x": f"{left:.1f}",
                "y": "0",
                "width": f"{right - left:.1f}",
                "height": f"{plot.height}",
            },
        )


def _line(parent: ET.Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    places = {name: f"{value:.1f}" for name, value in ends.items()}
    ET.SubElement(parent, "line", {"class": kind, **places})


def _text(
    parent: ET.Element, x: float, y: float, text: str, *, anchor: str = "middle"
) -> ET.Element:
    element = ET.SubElement(
        parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    )
    element.text = text
    return element

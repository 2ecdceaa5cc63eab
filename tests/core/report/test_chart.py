"""Charts have axes that hold what is drawn; drawings put it where the axes say."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection

from medscale.report.chart import Chart, Curve, Dot, Line, Mark, Panel, frame
from medscale.report.figures import draw_chart
from medscale.report.svg import draw


def chart(values: list[float], **changes: Any) -> Chart:
    """One curve at n = 1, 2, 4, …"""
    sizes = [2.0**k for k in range(len(values))]
    marks = tuple(
        Mark(n=n, value=value, low=value / 2, high=value * 2, text=f"n = {n:g}")
        for n, value in zip(sizes, values, strict=True)
    )
    line = Line(
        kind="data",
        n=tuple(sizes),
        values=tuple(values),
        lows=tuple(mark.low for mark in marks),
        highs=tuple(mark.high for mark in marks),
    )
    curve = Curve(arm="none", number=0, marks=marks, lines=(line,))
    fields: dict[str, Any] = {
        "name": "chart",
        "title": "A chart",
        "caption": "",
        "y_label": "error",
        "columns": 1,
        "panels": (Panel(title="panel", curves=(curve,)),),
        "table": pd.DataFrame(),
    }
    return Chart(**fields | changes)


positive = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8)


@given(positive)
def test_axes_hold_every_mark_and_have_ticks(values: list[float]) -> None:
    axes = frame(chart(values))
    assert axes.x[0] < 1 <= 2.0 ** (len(values) - 1) < axes.x[1]
    assert axes.y[0] < min(values) <= max(values) < axes.y[1]
    assert 1 <= len(axes.y_ticks) <= 9
    assert all(axes.y[0] <= tick <= axes.y[1] for tick in axes.y_ticks)


def test_a_wide_interval_does_not_press_the_curves_together() -> None:
    narrow = frame(chart([0.5, 0.4]))
    (panel,) = chart([0.5, 0.4]).panels
    (curve,) = panel.curves
    wide = Mark(n=1, value=0.5, low=1e-9, high=1e9, text="")
    panel = Panel(title="", curves=(Curve(arm="none", number=0, marks=(wide,), lines=()),))
    stretched = frame(chart([0.5, 0.4], panels=(panel,)))
    assert stretched.y[1] / stretched.y[0] < 2 * narrow.y[1] / narrow.y[0]
    assert curve.marks[0].value == wide.value


@given(positive)
def test_drawings_hold_numbers_only(values: list[float]) -> None:
    drawn = chart(values)
    svg = draw(drawn, drawn.panels[0], frame(drawn))
    assert not re.search(r"nan|inf", svg)
    assert len(ET.fromstring(svg).findall(".//path[@data-n]")) == len(values)


def test_zero_and_open_ends_stay_on_the_paper() -> None:
    marks = (
        Mark(n=1, value=0.5, low=0.0, high=math.inf, text=""),
        Mark(n=2, value=0.0, low=math.nan, high=math.nan, text=""),
        Mark(n=4, value=0.25, low=0.2, high=0.3, text=""),
    )
    line = Line(
        kind="data",
        n=(1, 2, 4),
        values=(0.5, 0.0, 0.25),
        lows=(0.0, math.nan, 0.2),
        highs=(math.inf, math.nan, 0.3),
    )
    curve = Curve(
        arm="none", number=0, marks=marks, lines=(line,), dots=(Dot(n=1, value=0.0, empty=True),)
    )
    drawn = chart([], panels=(Panel(title="", curves=(curve,)),), bars=True)
    svg = draw(drawn, drawn.panels[0], frame(drawn))
    assert not re.search(r"nan|inf", svg)


def test_bars_with_open_ends_reach_the_edges_of_the_files_figure() -> None:
    marks = (
        Mark(n=1, value=0.5, low=0.4, high=math.inf, text=""),
        Mark(n=2, value=0.5, low=0.0, high=0.6, text=""),
        Mark(n=4, value=0.5, low=math.nan, high=math.nan, text=""),
    )
    curve = Curve(arm="red", number=0, marks=marks, lines=())
    drawn = chart([], panels=(Panel(title="", curves=(curve,)),), bars=True)
    (axes,) = draw_chart(drawn).axes
    upward, downward = (
        np.asarray(segment)[:, 1]
        for bar in axes.collections
        if isinstance(bar, LineCollection)
        for segment in bar.get_segments()
        if len(segment)
    )
    low, high = axes.get_ylim()
    assert upward[0] == pytest.approx(0.4)
    assert high <= upward[1] < math.inf
    assert 0 < downward[0] <= low
    assert downward[1] == pytest.approx(0.6)


def test_the_files_name_the_reference_line() -> None:
    drawn = chart([0.5, 0.4], reference=0.45, reference_label="$no gain$")
    (axes,) = draw_chart(drawn).axes
    (label,) = axes.texts
    assert label.get_text() == "$no gain$"
    assert not label.get_parse_math()


def test_sizes_on_the_axis_are_exact() -> None:
    sizes = (96.0, 256.0, 1024.0)
    marks = tuple(Mark(n=n, value=0.5, low=0.4, high=0.6, text="") for n in sizes)
    curve = Curve(arm="red", number=0, marks=marks, lines=())
    panel = Panel(title="", curves=(curve,), trusted=1024.0)
    drawn = chart([], panels=(panel,))
    texts = [node.text for node in ET.fromstring(draw(drawn, panel, frame(drawn))).iter("text")]
    assert {"96", "256", "1024", "trusted up to 1024"} <= set(texts)


def test_where_forecasts_end_is_marked() -> None:
    drawn = chart([0.5, 0.4, 0.3], reference=0.35, reference_label="Dice 0.65")
    panel = Panel(title="", curves=drawn.panels[0].curves, trusted=3.0)
    texts = [node.text for node in ET.fromstring(draw(drawn, panel, frame(drawn))).iter("text")]
    assert "trusted up to 3" in texts
    assert "Dice 0.65" in texts


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "]]>\"'", "$\\frac$", "a & b"])
def test_a_name_is_text_in_every_drawing(name: str, tmp_path: Any) -> None:
    (curve,) = chart([0.5, 0.4]).panels[0].curves
    curve = Curve(arm=name, number=0, marks=curve.marks, lines=curve.lines)
    drawn = chart([], title=name, panels=(Panel(title=name, curves=(curve,)),))
    root = ET.fromstring(draw(drawn, drawn.panels[0], frame(drawn)))
    assert root.get("aria-label") == f"{name}: {name}"
    draw_chart(drawn).savefig(tmp_path / "chart.svg")
    assert "<script" not in (tmp_path / "chart.svg").read_text(encoding="utf-8")


def test_the_files_have_a_panel_for_each_of_the_page() -> None:
    panels = chart([0.5, 0.4]).panels * 5
    figure = draw_chart(chart([], panels=panels, columns=2))
    titled = [axes for axes in figure.axes if axes.get_title()]
    assert len(titled) == 5
    assert len(figure.axes) == 6

"""A reference line's label stands where it hides nothing, if there is such a place."""

from __future__ import annotations

import pandas as pd
import pytest

from medscale.report.chart import Chart, Curve, Frame, Line, Mark, Panel
from medscale.report.label_place import Place, label_place

AXES = Frame(x=(1.0, 16.0), y=(0.1, 10.0), x_ticks=(), y_ticks=())


def place(
    marks: tuple[Mark, ...] = (),
    lines: tuple[Line, ...] = (),
    *,
    at: float = 1.0,
    bars: bool = False,
) -> Place:
    """Return where the label of a line at a height stands among marks and lines."""
    panel = Panel(title="", curves=(Curve(arm="red", number=0, marks=marks, lines=lines),))
    chart = Chart(
        name="",
        title="",
        caption="",
        y_label="",
        columns=1,
        panels=(panel,),
        table=pd.DataFrame(),
        reference=at,
        reference_label="no gain",
        bars=bars,
    )
    return label_place(chart, panel, AXES)


def mark(n: float, value: float, low: float = float("nan"), high: float = float("nan")) -> Mark:
    return Mark(n=n, value=value, low=low, high=high, text="")


def test_with_room_it_stands_at_the_right_above_the_line() -> None:
    assert place() == place((mark(1.1, 1.1), mark(4, 1.1))) == (True, True)


def test_it_makes_way_for_marks() -> None:
    above, below, left = mark(15, 1.2), mark(15, 0.8), mark(1.1, 1.2)
    assert place((above,)) == (True, False)
    assert place((above, below)) == (False, True)
    assert place((above, below, left)) == (False, False)


def test_it_makes_way_for_lines_and_bars() -> None:
    line = Line(kind="law", n=(4.0, 16.0), values=(1.2, 1.2))
    assert place(lines=(line,)) == (True, False)
    bar = mark(15, 8, low=0.9, high=float("inf"))
    assert place((bar,)) == (True, True)
    assert place((bar,), bars=True).right is False


def test_rather_a_line_is_crossed_than_a_mark_hidden() -> None:
    lines = (Line(kind="data", n=(1.0, 16.0), values=(0.85, 0.85)),)
    assert place((mark(15, 1.2), mark(1.1, 1.2)), lines) == (True, False)


@pytest.mark.parametrize(("at", "above"), [(0.11, True), (9.9, False)])
def test_it_stays_within_the_axes(at: float, above: bool) -> None:
    beside = mark(15, at * 1.1 if above else at / 1.1), mark(1.1, at * 1.1 if above else at / 1.1)
    assert place(beside, at=at).above is above

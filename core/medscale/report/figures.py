"""Learning curves: error against the number of training images, on logarithmic axes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter
from scipy import stats

from medscale import atomic
from medscale.report.chart import Chart, Curve, Frame, Panel, frame
from medscale.report.label_place import Place, label_place

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
"""Okabe and Ito's palette, told apart by colour-blind readers."""
_STYLES = ("-", "--", ":", "-.")
_LEVEL = 0.95
_LEAST_FOR_INTERVAL = 3


class Measure(NamedTuple):
    """What a row of panels shows."""

    column: str
    title: str
    is_score: bool

    @property
    def largest(self) -> float:
        """The largest error there can be."""
        return 1.0 if self.is_score else math.inf


MEASURES = (
    Measure("dice", "1 − Dice (test)", is_score=True),
    Measure("bce", "BCE (test)", is_score=False),
)


def learning_curves(trials: pd.DataFrame) -> Figure:
    """Draw a run's curves: a column per task, a row per measure, a colour per arm.

    Dots are trials, lines their means, bands the 95 % t-interval of the mean, from three trials on
    (of two it is as wide as the axis). A trial that predicts background in every test case is a
    cross.

    Args:
        trials: As `medscale.report.tables.trial_table` makes it; at least one row.
    """
    tasks = list(dict.fromkeys(trials["task"]))
    figure = Figure(figsize=(1.2 + 4.2 * len(tasks), 0.8 + 3.2 * len(MEASURES)))
    axes = figure.subplots(len(MEASURES), len(tasks), squeeze=False, sharex="col")
    for column, task in enumerate(tasks):
        of_task = trials[trials["task"] == task]
        for row, measure in enumerate(MEASURES):
            _panel(axes[row, column], of_task, measure)
        # A "$" in a name is a dollar sign, not the begin of a formula.
        title = f"{of_task['dataset'].iloc[0]} · {task}"
        axes[0, column].set_title(title, fontsize=11, parse_math=False)
        axes[-1, column].set_xlabel("training images n")
    for row, measure in enumerate(MEASURES):
        axes[row, 0].set_ylabel(measure.title)
    for text in axes[0, 0].legend(frameon=False, fontsize=9).get_texts():
        text.set_parse_math(False)
    if (trials["predicted"] == 0).any():
        figure.text(
            0.995, 0.005, "× predicts background everywhere", ha="right", va="bottom", fontsize=8
        )
    figure.tight_layout()
    return figure


def draw_chart(chart: Chart) -> Figure:
    """Draw a chart of the page, for its files."""
    columns = min(chart.columns, len(chart.panels))
    rows = -(-len(chart.panels) // columns)
    figure = Figure(figsize=(1.2 + 4.2 * columns, 0.8 + 3.4 * rows))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    bounds = frame(chart)
    for axes, panel in zip(grid, chart.panels, strict=False):
        _chart_panel(axes, chart, panel, bounds)
    for axes in grid[len(chart.panels) :]:
        axes.set_axis_off()
    handles: dict[str, Any] = {}
    for axes in grid:
        handles |= {str(line.get_label()): line for line in axes.get_lines()}
    handles = {label: line for label, line in handles.items() if not label.startswith("_")}
    legend = grid[0].legend(handles.values(), handles.keys(), edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.tight_layout()
    return figure


_LINES = {"data": "-", "law": "-", "forecast": "--", "beyond": ":"}
_MARKS = ("o", "s", "^", "D")


def _chart_panel(axes: Axes, chart: Chart, panel: Panel, bounds: Frame) -> None:
    if math.isfinite(panel.trusted):
        axes.axvspan(panel.trusted, bounds.x[1], color="0.5", alpha=0.1, linewidth=0)
    if chart.reference > 0:
        _reference(axes, chart, label_place(chart, panel, bounds))
    for curve in panel.curves:
        _chart_curve(axes, curve, bounds, bars=chart.bars)
    # Limits first: of an empty panel, a scale finds none.
    axes.set(xlim=bounds.x, ylim=bounds.y, xscale="log", yscale="log")
    axes.xaxis.set_major_locator(FixedLocator(bounds.x_ticks))
    axes.yaxis.set_major_locator(FixedLocator(bounds.y_ticks))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(NullLocator())
    axes.set_title(panel.title, fontsize=10, parse_math=False)
    axes.set_xlabel("annotated training images n")
    axes.set_ylabel(chart.y_label)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _reference(axes: Axes, chart: Chart, place: Place) -> None:
    axes.axhline(chart.reference, color="0.4", linewidth=0.8, linestyle=":")
    label = axes.annotate(
        chart.reference_label,
        (1 if place.right else 0, chart.reference),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-3 if place.right else 3, 3 if place.above else -3),
        textcoords="offset points",
        ha="right" if place.right else "left",
        va="bottom" if place.above else "top",
        fontsize=8,
        color="0.35",
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
    )
    label.set_parse_math(False)


def _chart_curve(axes: Axes, curve: Curve, bounds: Frame, *, bars: bool) -> None:
    colour = COLOURS[curve.number % len(COLOURS)]
    for line in curve.lines:
        places = np.asarray(line.n) * curve.shift
        axes.plot(places, line.values, _LINES[line.kind], color=colour, linewidth=1.6)
        if line.lows:
            lows, highs = np.clip((line.lows, line.highs), *bounds.y_reach)
            axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)
    for empty, style in ((False, "."), (True, "x")):
        dots = [dot for dot in curve.dots if dot.empty == empty]
        axes.plot(
            [dot.n * curve.shift for dot in dots],
            [dot.value for dot in dots],
            style,
            color=colour,
            alpha=0.4,
            markersize=4,
        )
    for mark in curve.marks if bars else ():
        low, high = np.clip((mark.low, mark.high), *bounds.y_reach)
        axes.vlines(mark.n * curve.shift, low, high, color=colour, alpha=0.45)
    for hollow in (False, True):
        marks = [mark for mark in curve.marks if mark.hollow == hollow]
        axes.plot(
            [mark.n * curve.shift for mark in marks],
            [mark.value for mark in marks],
            _MARKS[curve.number % len(_MARKS)],
            color=colour,
            markerfacecolor="white" if hollow else colour,
            markersize=4.5,
            label="_" if hollow else curve.arm,
        )


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, each whole or not at all; return the files."""
    written = []
    with mpl.rc_context({"svg.hashsalt": "medscale", "svg.fonttype": "none"}):
        for suffix, options in (("png", {"dpi": 150}), ("svg", {"metadata": {"Date": None}})):
            buffer = io.BytesIO()
            extra: dict[str, Any] = dict(options)
            figure.savefig(buffer, format=suffix, **extra)
            path = stem.with_suffix(f".{suffix}")
            atomic.write_bytes(path, buffer.getvalue())
            written.append(path)
    return written


def _panel(axes: Axes, trials: pd.DataFrame, measure: Measure) -> None:
    arms = list(dict.fromkeys(trials["arm"]))
    backbones = list(dict.fromkeys(trials["backbone"]))
    sizes = sorted(set(trials["size"]))
    values = trials[measure.column].to_numpy(dtype=float)
    errors = trials.assign(error=1 - values if measure.is_score else values)
    # A perfect score has no place on a logarithmic axis: it is drawn at the panel's lower edge.
    positive = errors["error"][errors["error"] > 0]
    floor = float(positive.min()) / 2 if len(positive) else 1e-4
    for number, arm in enumerate(arms):
        # Arms are set a little apart, so that their dots do not hide each other.
        shift = 1.04 ** (number - (len(arms) - 1) / 2)
        for style, backbone in zip(_cycle(_STYLES, len(backbones)), backbones, strict=True):
            chosen = errors[(errors["arm"] == arm) & (errors["backbone"] == backbone)]
            if chosen.empty:
                continue
            colour = COLOURS[number % len(COLOURS)]
            label = arm if len(backbones) == 1 else f"{arm} · {backbone}"
            _curve(axes, chosen, (floor, measure.largest), shift, colour, style, label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_ticks(sizes)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    # The axis is the trials' own: a wide interval must not press the curves together.
    shown = errors["error"].clip(lower=floor)
    low, high = float(shown.min()) / 1.2, float(shown.max()) * 1.2
    axes.set_ylim(low, high)
    if high / low < 30:
        ticks = [t for t in _NICE if low <= t <= high]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


_NICE = [m * 10.0**e for e in range(-6, 3) for m in (1, 1.5, 2, 3, 4, 5, 7)]


def _curve(
    axes: Axes,
    trials: pd.DataFrame,
    ends: tuple[float, float],
    shift: float,
    colour: str,
    style: str,
    label: str,
) -> None:
    floor, largest = ends
    sizes, means, lows, highs = [], [], [], []
    for size in sorted({int(size) for size in trials["size"]}):
        group = trials[trials["size"] == size]
        error = group["error"].to_numpy(dtype=float).clip(min=floor)
        low, high = mean_interval(error, largest)
        sizes.append(size)
        means.append(float(error.mean()))
        # (max would turn the NaN of a missing interval into the floor)
        lows.append(low if math.isnan(low) else max(low, floor))
        highs.append(high)
        empty = (group["predicted"] == 0).to_numpy()
        place = np.full(len(error), size * shift)
        axes.scatter(place[~empty], error[~empty], s=9, color=colour, alpha=0.45, linewidths=0)
        axes.scatter(place[empty], error[empty], s=22, color=colour, marker="x", linewidths=1)
    axes.plot(sizes, means, style, color=colour, linewidth=1.8, label=label)
    axes.fill_between(sizes, lows, highs, color=colour, alpha=0.15, linewidth=0)


def mean_interval(
    values: np.ndarray[Any, np.dtype[np.float64]], largest: float
) -> tuple[float, float]:
    """Return the 95 % t-interval of a mean of errors; NaN for fewer than three values.

    Args:
        values: From 0 to `largest`, beyond which no interval reaches.
        largest: The largest error there can be.
    """
    if len(values) < _LEAST_FOR_INTERVAL:
        return math.nan, math.nan
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return max(mean - half, 0.0), min(mean + half, largest)


def _ticks(sizes: Sequence[int]) -> list[int]:
    """Return at most nine of the sizes, evenly, so that labels do not collide."""
    step = -(-len(sizes) // 9)
    return list(sizes[::step])


def _cycle(values: Sequence[str], count: int) -> list[str]:
    return [values[index % len(values)] for index in range(count)]

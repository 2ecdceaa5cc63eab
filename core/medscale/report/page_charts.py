"""The page's charts: learning curves, laws with forecasts, what a multiplier saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from medscale.laws import Fit
from medscale.laws.forecast import format_count
from medscale.report.chart import Chart, Curve, Dot, Line, Mark, Panel
from medscale.report.figures import MEASURES, Measure, mean_interval
from medscale.report.findings import LEVEL, ArmFinding, RunFindings, Setting
from medscale.report.wording import asked, counted, interval, number, percent, score

_POINTS = 48
_BOUNDS = {"": "", ">=": "at least ", "<=": "at most "}
"""Of a law's line: enough for a smooth curve, few enough for fifty of them on a page."""

Row = dict[str, Any]
"""Of a chart's table."""


def charts(runs: Sequence[RunFindings], target: float) -> tuple[Chart, ...]:
    """Return every chart that the runs have the numbers for.

    Args:
        runs: What was found.
        target: A Dice coefficient, whose height the laws' chart shows.
    """
    settings = [setting for run in runs for setting in run.settings]
    numbers = arm_numbers(runs)
    networks = len({setting.backbone for setting in settings})
    columns = min(3, networks if networks > 1 else math.ceil(math.sqrt(len(settings))))
    dice, bce = MEASURES
    made = [
        _learning(settings, numbers, columns, dice),
        _laws(settings, numbers, columns, target),
        _efficiency(runs, numbers, columns),
        _learning(settings, numbers, columns, bce),
    ]
    return tuple(chart for chart in made if chart is not None)


def arm_numbers(runs: Sequence[RunFindings]) -> dict[str, int]:
    """Return the place of each arm on the page, the same in every chart."""
    arms = dict.fromkeys(a.arm for run in runs for setting in run.settings for a in setting.arms)
    return {arm: place for place, arm in enumerate(arms)}


def _learning(
    settings: Sequence[Setting], numbers: Mapping[str, int], columns: int, measure: Measure
) -> Chart | None:
    panels, rows = [], []
    for setting in settings:
        curves = []
        for finding in setting.arms:
            if measure.column not in finding.trials:
                continue
            curve, table = _observed(finding, numbers[finding.arm], measure)
            curves.append(curve)
            rows += [{"setting": setting.title} | row for row in table]
        if curves:
            panels.append(Panel(title=setting.title, curves=_apart(curves)))
    if not panels:
        return None
    what = "1 − Dice, the share of overlap that is missing" if measure.is_score else "cross-entropy"
    return Chart(
        name=f"curve-{measure.column}",
        title=(
            "How the error falls with annotated images"
            if measure.is_score
            else "The same, measured by cross-entropy"
        ),
        caption=(
            f"Lower is better. Error is {what}, on test images that no training saw. Each faint "
            "dot is one training; the marks are means, the shaded bands their "
            f"{percent(LEVEL)} intervals (from three trainings on)."
            + (" A cross found nothing in any test image." if _any_empty(panels) else "")
        ),
        y_label=f"error ({'1 − Dice' if measure.is_score else 'BCE'})",
        columns=columns,
        panels=tuple(panels),
        table=pd.DataFrame(rows),
    )


def _observed(finding: ArmFinding, place: int, measure: Measure) -> tuple[Curve, list[Row]]:
    values = finding.trials[measure.column].astype(float)
    errors = (1 - values if measure.is_score else values).to_numpy(dtype=float)
    sizes = finding.trials["size"].to_numpy(dtype=int)
    marks, rows = [], []
    for size in np.unique(sizes).tolist():
        of_size = errors[sizes == size]
        mean, (low, high) = float(of_size.mean()), mean_interval(of_size, measure.largest)
        rows.append(
            {
                "arm": finding.arm,
                "n": size,
                "trials": len(of_size),
                "error": mean,
                "low": low,
                "high": high,
            }
        )
        text = f"{finding.arm}, n = {size}: error {number(mean)}{interval(low, high)}"
        text += f", Dice {score(1 - mean)}" if measure.is_score else ""
        text += f"; {counted(str(len(of_size)), 'training')}"
        marks.append(Mark(n=size, value=mean, low=low, high=high, text=text))
    empty = (finding.trials["predicted"] == 0).tolist()
    dots = tuple(
        Dot(n=n, value=error, empty=nothing)
        for n, error, nothing in zip(sizes.tolist(), errors.tolist(), empty, strict=True)
    )
    curve = Curve(
        arm=finding.arm,
        number=place,
        marks=tuple(marks),
        lines=(_through(marks),),
        dots=dots,
    )
    return curve, rows


def _apart(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """Set curves a little apart, so that their marks do not hide each other."""
    middle = (len(curves) - 1) / 2
    return tuple(
        replace(curve, shift=1.03 ** (place - middle)) for place, curve in enumerate(curves)
    )


def _through(marks: Sequence[Mark]) -> Line:
    """Join marks and their intervals."""
    return Line(
        kind="data",
        n=tuple(mark.n for mark in marks),
        values=tuple(mark.value for mark in marks),
        lows=tuple(mark.low for mark in marks),
        highs=tuple(mark.high for mark in marks),
    )


def _any_empty(panels: Sequence[Panel]) -> bool:
    return any(dot.empty for panel in panels for curve in panel.curves for dot in curve.dots)


def _laws(
    settings: Sequence[Setting], numbers: Mapping[str, int], columns: int, target: float
) -> Chart | None:
    panels, rows = [], []
    for setting in settings:
        curves, ends, notes = [], [], []
        for finding in setting.arms:
            if finding.law is None:
                notes.append(f"{finding.arm}: no law. {finding.trouble}")
                continue
            notes += [f"{finding.arm}: {warning}" for warning in finding.law.warnings]
            curve, table = _law(finding.arm, numbers[finding.arm], finding.law)
            curves.append(curve)
            ends.append(_trusted(finding.law))
            rows += [{"setting": setting.title} | row for row in table]
        panels.append(
            Panel(
                title=setting.title,
                curves=tuple(curves),
                notes=tuple(notes),
                trusted=min(ends, default=math.nan),
            )
        )
    if not rows:
        return None
    return Chart(
        name="laws",
        title="Where it goes from here",
        caption=(
            "The law fitted to each curve, and what it forecasts for more images than were tried: "
            "dashed, with hollow marks, as far as these sizes can support it, and dotted beyond "
            "that, right of the vertical line: do not rely on it there. Bands are "
            f"{percent(LEVEL)} intervals of the mean."
        ),
        y_label="error (1 − Dice)",
        columns=columns,
        panels=tuple(panels),
        table=pd.DataFrame(rows),
        reference=1 - target,
        reference_label=f"Dice {asked(target)}",
    )


def _trusted(law: Fit) -> float:
    return float(law.sizes[-1]) * law.trusted_factor


def _law(arm: str, place: int, law: Fit) -> tuple[Curve, list[Row]]:
    last = float(law.sizes[-1])
    doublings = int(math.log2(_trusted(law) / last) + 1e-9)
    sizes = np.array([*law.sizes, *(last * 2.0**k for k in range(1, doublings + 1))])
    observed = np.array([*law.means, *[math.nan] * doublings])
    rows = [
        {"arm": arm, "n": n, "observed": mean, "law": value, "low": low, "high": high}
        for n, mean, value, low, high in zip(
            sizes.tolist(),
            observed.tolist(),
            law.predict(sizes).tolist(),
            *(ends.tolist() for ends in law.interval(sizes, LEVEL)),
            strict=True,
        )
    ]
    marks = tuple(_law_mark(**row) for row in rows)
    return Curve(arm=arm, number=place, marks=marks, lines=_stretches(law)), rows


def _law_mark(*, arm: str, n: float, observed: float, law: float, low: float, high: float) -> Mark:
    """Mark what was observed, or what is forecast where nothing was."""
    hollow = math.isnan(observed)
    value = law if hollow else observed
    said = "forecast" if hollow else f"error {number(observed)}, law"
    text = f"{arm}, n = {format_count(n)}: {said} {number(law)}{interval(low, high)}"
    text += f", Dice {score(1 - value)}"
    return Mark(n=n, value=value, low=low, high=high, text=text, hollow=hollow)


def _stretches(law: Fit) -> tuple[Line, ...]:
    """Return a law's line: within the data, as far as it is trusted, and as far again."""
    first, last, end = float(law.sizes[0]), float(law.sizes[-1]), _trusted(law)
    lines = []
    stretches = (("law", first, last), ("forecast", last, end), ("beyond", end, 2 * end))
    for kind, start, stop in stretches:
        if stop > start:
            grid = np.geomspace(start, stop, _POINTS)
            lows, highs = law.interval(grid, LEVEL) if kind != "beyond" else ((), ())
            lines.append(
                Line(
                    kind=kind,
                    n=tuple(grid.tolist()),
                    values=tuple(law.predict(grid).tolist()),
                    lows=tuple(map(float, lows)),
                    highs=tuple(map(float, highs)),
                )
            )
    return tuple(lines)


def _efficiency(
    runs: Sequence[RunFindings], numbers: Mapping[str, int], columns: int
) -> Chart | None:
    panels, tables, baselines = [], [], []
    for run in runs:
        if run.comparison is None:
            continue
        baselines.append(run.baseline)
        for setting in run.settings:
            table = run.comparison.efficiency
            table = table[(table["task"] == setting.task) & (table["backbone"] == setting.backbone)]
            if table.empty:
                continue
            tables.append(table.drop(columns=["task", "backbone"]).assign(setting=setting.title))
            curves = [
                _multipliers(str(arm), numbers[str(arm)], rows)
                for arm, rows in table.groupby("arm", sort=False)
            ]
            panels.append(
                Panel(
                    title=setting.title,
                    curves=_apart([curve for curve in curves if curve.marks]),
                    notes=tuple(
                        f"{curve.arm}: these trials do not bound it at any size."
                        for curve in curves
                        if not curve.marks
                    ),
                )
            )
    if not panels:
        return None
    table = pd.concat(tables, ignore_index=True)
    return Chart(
        name="efficiency",
        title="What an annotated image is worth with each augmentation",
        caption=(
            f"At 2, one image annotated with this augmentation is worth two with "
            f"{' or '.join(dict.fromkeys(baselines))}; below 1 it is worth less. Bars: "
            f"{percent(LEVEL)} intervals. Hollow marks are bounds: at least, or at most, so much. "
            "Sizes at which these trials do not bound it at all are left out."
        ),
        y_label="worth, in images of the baseline",
        columns=columns,
        panels=tuple(panels),
        table=table[["setting", *(c for c in table.columns if c != "setting")]],
        reference=1.0,
        reference_label="no gain",
        bars=True,
    )


def _multipliers(arm: str, place: int, rows: pd.DataFrame) -> Curve:
    marks = []
    for row in rows.to_dict("records"):
        n, value, low, high = (row[name] for name in ("size", "multiplier", "low", "high"))
        bounded = low > 0 or math.isfinite(high) or math.isnan(low)
        if math.isfinite(value) and bounded:
            worth = _BOUNDS[row["bound"]] + number(value)
            text = f"{arm}, n = {n}: one image is worth {worth}{interval(low, high)}"
            bound = row["bound"] != ""
            marks.append(Mark(n=n, value=value, low=low, high=high, text=text, hollow=bound))
    line = replace(_through(marks), lows=(), highs=())
    return Curve(arm=arm, number=place, marks=tuple(marks), lines=(line,))

"""`medscale compare`: every arm of a run against the baseline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from medscale.laws.comparison import Comparison
    from medscale.study.runstore import RunStore

_TABLES = ("ratios", "overall", "efficiency", "parameters", "speed")
_ERRORS = {"dice": "1 − Dice", "bce": "BCE"}
_BOUNDS = {"": "", ">=": "≥", "<=": "≤"}
_TOLD = {"lower": " ↓", "higher": " ↑"}


def compare(
    run: Annotated[Path, typer.Argument(help="Run folder, such as runs/acdc-lv.")],
    baseline: Annotated[
        str | None,
        typer.Option(help="Arm to compare the others with.", show_default="none, or the first"),
    ] = None,
    metric: Annotated[str, typer.Option(help="dice (errors are 1 − Dice) or bce.")] = "dice",
    level: Annotated[float, typer.Option(help="Of the intervals, between 0 and 1.")] = 0.95,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object; an open end of an interval is null.")
    ] = False,
) -> None:
    """Say what each arm does to the error, and how many images one image is worth with it."""
    from medscale.study.runstore import RunStore

    store = RunStore(run)
    store.study()
    comparison = compare_run(store, baseline=baseline, metric=metric, level=level)
    if json:
        typer.echo(_as_json(comparison))
        return
    show_comparison(comparison)


def compare_run(
    store: RunStore, *, baseline: str | None = None, metric: str = "dice", level: float = 0.95
) -> Comparison:
    """Compare the arms of a run as far as it is done.

    Raises:
        DataError: If there is nothing to compare, or an option has no meaning.
        StoreError: If no trial is done.
    """
    from medscale.errors import StoreError
    from medscale.laws import comparison
    from medscale.report.tables import case_table, trial_table

    trials = trial_table(store)
    if trials.empty:
        raise StoreError(
            f"no trial of {store.folder} is done yet: `medscale status {store.folder}` shows how "
            "far it is"
        )
    return comparison.compare(
        trials,
        case_table(store),
        baseline=baseline or comparison.usual_baseline(trials["arm"]),
        metric=metric,
        level=level,
    )


def show_comparison(comparison: Comparison) -> None:
    """Print what was found, its tables, and what was left out."""
    from rich.console import Console
    from rich.markup import escape

    from medscale.laws.forecast import format_level

    console = Console(highlight=False)
    for sentence in comparison.sentences:
        console.print(escape(sentence), soft_wrap=True)
    error = _ERRORS[comparison.metric]
    console.print(f"(errors are {error}; {format_level(comparison.level)} intervals)")
    for (task, backbone), sizes in comparison.to_frame().groupby(["task", "backbone"], sort=False):
        title = f"{task} · {backbone}"
        console.print(_sizes(title, sizes, comparison))
        console.print(_parameters(title, _at(task, backbone, comparison.parameters), comparison))
        speed = _at(task, backbone, comparison.speed)
        if len(speed):
            console.print(_speed(title, speed))
    for warning in comparison.warnings:
        console.print(escape(f"note: {warning}"), soft_wrap=True)


def _at(task: Hashable, backbone: Hashable, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a task and network."""
    return table[(table["task"] == task) & (table["backbone"] == backbone)]


def _sizes(title: str, rows: pd.DataFrame, comparison: Comparison) -> Table:
    """Return sizes down, and at each of them the arms."""
    from medscale.laws.forecast import format_level

    table = _table(
        f"{title}: error of an arm ÷ error of {comparison.baseline} ({comparison.metric}), and how "
        f"many images of {comparison.baseline} n images are worth",
        f"{format_level(comparison.level)} intervals; {_tests(comparison, comparison.ratios)}"
        if comparison.ratios["p"].notna().any()
        else "one training at each size: no intervals, no tests",
        left=("n", "arm"),
        right=("÷ error", "worth"),
    )
    for keys, row in _by(rows, "size", "arm"):
        table.add_row(*keys, *_cells(row))
    return table


def _tests(comparison: Comparison, table: pd.DataFrame) -> str:
    return (
        f"↓ ↑ lower or higher at p ≤ {1 - comparison.level:.2g}, corrected for "
        f"{table['p'].notna().sum()} tests"
    )


def _cells(row: dict[Any, Any]) -> tuple[str, str]:
    ratio = f"{row['ratio']:.2f}{_interval(row['low_ratio'], row['high_ratio'], '.2f')}"
    size = row["size"]
    low, high = size * row["low_multiplier"], size * row["high_multiplier"]
    bound = _BOUNDS[row["bound"]]
    worth = f"{bound}{size * row['multiplier']:.1f}{_interval(low, high, '.1f')}"
    if low == 0 and high == math.inf:
        worth = "not bounded"
    return ratio + _TOLD.get(row["verdict"], ""), worth


def _parameters(title: str, parameters: pd.DataFrame, comparison: Comparison) -> Table:
    alone = "alone: share of the change that this parameter explains by itself"
    told = parameters["identified"].any()
    table = _table(
        f"{title}: what of factor · n^−exponent + floor an arm moves",
        f"{_tests(comparison, comparison.parameters)}; {alone}" if told else alone,
        left=("arm", "parameter"),
        right=("without", "with", "difference", "alone"),
    )
    for keys, row in _by(parameters, "arm", "parameter"):
        interval = _interval(row["low"], row["high"], ".3g")
        difference = f"{row['difference']:+.3g}{interval}{_TOLD.get(row['verdict'], '')}"
        table.add_row(
            *keys,
            _number(row["baseline_value"], ".3g"),
            _number(row["arm_value"], ".3g"),
            difference if row["identified"] else "not identified",
            _number(row["alone"], ".0%"),
        )
    return table


def _speed(title: str, speed: pd.DataFrame) -> Table:
    table = _table(
        f"{title}: steps to the best checkpoint",
        "at end: share of trials, without and with the arm, that were best at their last step, and "
        "might have gone on",
        left=("arm", "n"),
        right=("without", "with", "ratio", "at end"),
    )
    for keys, row in _by(speed, "arm", "size"):
        table.add_row(
            *keys,
            *(f"{row['baseline_steps']:.0f}", f"{row['arm_steps']:.0f}"),
            f"{row['ratio']:.2f}{_interval(row['low'], row['high'], '.2g')}",
            f"{row['baseline_at_end']:.0%}, {row['arm_at_end']:.0%}",
        )
    return table


def _table(title: str, caption: str, *, left: Sequence[str], right: Sequence[str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title), caption=escape(caption), title_justify="left", caption_justify="left"
    )
    for name in left:
        table.add_column(name, justify="right" if name == "n" else "left", overflow="fold")
    for name in right:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _by(rows: pd.DataFrame, first: str, then: str) -> Iterator[tuple[list[str], dict[Any, Any]]]:
    """Yield the rows group by group with what they are of, the group named once."""
    from rich.markup import escape

    for group, members in rows.groupby(first, sort=False):
        name = str(group)
        for row in members.to_dict("records"):
            yield [escape(name), escape(str(row[then]))], row
            name = ""


def _number(value: float, style: str) -> str:
    return "" if math.isnan(value) else format(value, style)


def _interval(low: float, high: float, style: str) -> str:
    if math.isnan(low):
        return ""
    upper = "∞" if high == math.inf else format(high, style)
    between = " to " if low < 0 else "–"
    # Of what is above 0, an interval that begins at 0 is open, as one that ends at ∞.
    lower = format(low, style) if low else "0"
    return f" ({lower}{between}{upper})"


def _as_json(comparison: Comparison) -> str:
    import json

    tables = {
        name: json.loads(getattr(comparison, name).to_json(orient="records", double_precision=15))
        for name in _TABLES
    }
    texts = {"sentences": comparison.sentences, "warnings": comparison.warnings}
    asked = {name: getattr(comparison, name) for name in ("baseline", "metric", "level")}
    return json.dumps(asked | tables | texts)

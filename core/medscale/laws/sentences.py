"""What a comparison found, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

Row = Mapping[Any, Any]
"""Of a table, by column."""
_PLAIN = "none"
"""The arm that adds nothing to the baseline's augmentation."""
_UNTOLD = "not told apart"
_CORRECTED = "after correction for the number of tests"
_GROUP = ["task", "backbone", "arm"]


def sentences(
    *,
    ratios: pd.DataFrame,
    overall: pd.DataFrame,
    efficiency: pd.DataFrame,
    parameters: pd.DataFrame,
    baseline: str,
) -> list[str]:
    """Return what the tables of a comparison say, most important first.

    First what images are worth with each arm, the best arm first; then what all sizes say together,
    what each says, and which parameters an arm moves.

    Args:
        ratios: As `Comparison` has it.
        overall: As `Comparison` has it.
        efficiency: As `Comparison` has it.
        parameters: As `Comparison` has it.
        baseline: Label of the arm compared with.
    """
    several = len(ratios[_GROUP[:2]].drop_duplicates()) > 1

    def of(row: Row) -> str:
        return f"{row['task']}, {row['backbone']}: " if several else ""

    telling = [_telling(rows) for _, rows in efficiency.groupby(_GROUP, sort=False)]
    telling.sort(key=_gain(overall))
    curves = [rows.to_dict("records") for _, rows in ratios.groupby(_GROUP, sort=False)]
    moved = [
        row
        for row in parameters.to_dict("records")
        if row["identified"] and row["verdict"] in ("lower", "higher")
    ]
    return [
        *(of(row) + _worth(row, baseline) for row in telling),
        *(of(row) + _together(row, baseline) for row in overall.to_dict("records")),
        *(of(rows[0]) + _errors(rows, baseline) for rows in curves),
        *(of(row) + _moved(row, baseline) for row in moved),
    ]


def saving(*, overall: pd.DataFrame, efficiency: pd.DataFrame, baseline: str) -> str:
    """Return what images are worth with the arm that is shown to save most, or that none is.

    Args:
        overall: Of one task and network, as `Comparison` has it.
        efficiency: The same.
        baseline: Label of the arm compared with.
    """
    telling = [_telling(rows) for _, rows in efficiency.groupby("arm", sort=False)]
    gains = [row for row in telling if row["low"] > 1 and row["verdict"] == "lower"]
    if gains:
        return _worth(min(gains, key=_gain(overall)), baseline)
    told = [row for row in overall.to_dict("records") if row["verdict"] == "lower"]
    if told:
        return _together(min(told, key=lambda row: row["ratio"]), baseline)
    if efficiency["low"].isna().all():
        return "One training at each size cannot show whether any augmentation saves annotations."
    *others, last = [str(row["arm"]) for row in telling]
    arms = f"{', '.join(others)} or {last}" if others else last
    return f"No annotations are shown to be saved with {arms}."


def _gain(overall: pd.DataFrame) -> Callable[[Row], tuple[float, float]]:
    """Return what sorts arms by how much they lower the error over all sizes, most first.

    What images are worth is told at another size for each arm, and decides between equals only.
    """
    ratios = {
        tuple(row[name] for name in _GROUP): row["ratio"] for row in overall.to_dict("records")
    }

    def key(row: Row) -> tuple[float, float]:
        return ratios.get(tuple(row[name] for name in _GROUP), math.inf), -row["multiplier"]

    return key


def _telling(rows: pd.DataFrame) -> Row:
    """Return the row of the largest size that has an interval without open end, and no forecast.

    Without one, that of the largest size that has an interval, or the largest.
    """
    closed = rows[
        (rows["bound"] == "")
        & (rows["low"] > 0)
        & (rows["high"] < math.inf)
        & ~rows["extrapolated"]
    ]
    known = rows[rows["low"].notna()]
    best = next(some for some in (closed, known, rows) if len(some))
    return best.to_dict("records")[-1]


def _worth(row: Row, baseline: str) -> str:
    size, low, high = row["size"], row["low"], row["high"]
    number = _images(row["multiplier"] * size)
    bound = {"": "", ">=": "at least ", "<=": "at most "}[row["bound"]]
    interval = _interval(low * size, high * size)
    # Where the interval ends at the bound it is said once.
    if row["bound"] and number in (_images(low * size), _images(high * size)):
        interval = ""
    number = bound + number
    noun = "image is" if size == 1 else "images are"
    text = (
        f"With {row['arm']}, {size} annotated {noun} worth {number}{interval} {_without(baseline)}"
    )
    if math.isnan(low):
        return f"{text}; one pair of trials of that size gives no interval."
    if low <= 1 <= high:
        return f"{text}: neither gain nor loss is shown."
    if row["verdict"] != ("lower" if low > 1 else "higher"):
        return f"{text}: the errors there are {_UNTOLD} {_CORRECTED}."
    return f"{text}." if low > 1 else f"{text}: it costs annotations."


def _together(row: Row, baseline: str) -> str:
    arm = f"Over all sizes, the error with {row['arm']} is {row['ratio']:.2f}"
    if math.isnan(row["low"]):
        return f"{arm} times that with {baseline} on average."
    text = f"{arm} ({row['low']:.2f}–{row['high']:.2f}) times that with {baseline} on average"
    if row["verdict"] == _UNTOLD:
        return f"{text}; the two are not told apart."
    if row["bound"] or not 0 < row["multiplier_low"] < row["multiplier_high"] < math.inf:
        return f"{text}."
    low, high = row["multiplier_low"], row["multiplier_high"]
    worth = f"{row['multiplier']:.1f} ({low:.1f}–{high:.1f})"
    return f"{text}; one image is worth {worth} images {_without(baseline)}."


def _without(baseline: str) -> str:
    return "without it" if baseline == _PLAIN else f"with {baseline}"


def _interval(low: float, high: float) -> str:
    if math.isnan(low):
        return ""
    if low == 0 and high == math.inf:
        return " (not bounded by these sizes)"
    if low == 0:
        return f" (interval up to {_images(high)})"
    if high == math.inf:
        return f" (interval from {_images(low)})"
    return f" ({_images(low)}–{_images(high)})"


def _images(count: float) -> str:
    return f"{count:.1f}".removesuffix(".0") if count < 10 else f"{count:.0f}"


def _errors(rows: Sequence[Row], baseline: str) -> str:
    last = rows[-1]
    text = f"At n = {last['size']}, the error with {last['arm']} is {last['ratio']:.2f}"
    if not math.isnan(last["low"]):
        text += f" ({last['low']:.2f}–{last['high']:.2f})"
    text += f" times that with {baseline}"
    tested = [row for row in rows if row["verdict"]]
    told = [
        f"{verdict} at n = {_sizes(tested, verdict)}"
        for verdict in ("lower", "higher")
        if any(row["verdict"] == verdict for row in tested)
    ]
    if told:
        return f"{text}; it is {' and '.join(told)}, {_CORRECTED}."
    if tested:
        return f"{text}; at no size are the two told apart {_CORRECTED}."
    return f"{text}."


def _sizes(rows: Sequence[Row], verdict: str) -> str:
    return ", ".join(str(row["size"]) for row in rows if row["verdict"] == verdict)


def _moved(row: Row, baseline: str) -> str:
    way = "lowers" if row["verdict"] == "lower" else "raises"
    return (
        f"If errors are factor · n^−exponent + floor, {row['arm']} {way} the {row['parameter']} "
        f"from {row['baseline_value']:.3g} to {row['arm_value']:.3g} (difference "
        f"{row['low']:.2g} to {row['high']:.2g}), compared with {baseline}, {_CORRECTED}."
    )

"""Arms compared pair by pair: the same training subsets, the same test cases, another arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from medscale.errors import DataError, did_you_mean
from medscale.laws import Fit
from medscale.laws.crossed import Contrasts, LogMeans
from medscale.laws.efficiency import common_multiplier, law_of, multipliers
from medscale.laws.movement import LEAST_SIZES, movements
from medscale.laws.multiplicity import holm
from medscale.laws.pairing import PairedErrors, pair
from medscale.laws.sentences import sentences

_PLACE = ["task", "backbone"]
_ROW = [*_PLACE, "arm", "size"]
_RATIOS = [*_ROW, "ratio", "low", "high", "p", "p_adjusted", "verdict", "replicates"]
_OVERALL = [
    *(*_PLACE, "arm", "ratio", "low", "high", "p", "p_adjusted", "verdict"),
    *("multiplier", "multiplier_low", "multiplier_high", "bound"),
]
_STEPS = ("baseline_steps", "arm_steps", "baseline_at_end", "arm_at_end")
_SPEED = [*_ROW, *_STEPS, "ratio", "low", "high", "replicates"]
_IS_SCORE = {"dice": True, "bce": False}
"""Metrics; the error of a score is what it lacks to one."""


@dataclass(frozen=True)
class Comparison:
    """Every arm of a run against the baseline.

    All intervals are of what new training subsets and new test subjects would give; without a case
    table, of new training subsets with these very test cases.

    Attributes:
        baseline: Label of the arm compared with.
        metric: "dice" (errors are 1 − Dice) or "bce".
        level: Of all intervals.
        ratios: Mean error of the arm over that of the baseline by size, with a paired interval, the
            p-value of a ratio of one, the same corrected by Holm over all rows, a verdict ("lower",
            "higher", "not told apart"; "" without a test) and the number of paired trials. The
            verdict follows the corrected p-value, the interval does not.
        overall: The same of all sizes together, which one test by curve tells apart sooner: the
            geometric mean of the ratios, p-values corrected over curves only, and the multiplier
            that makes up for the arm on average over the sizes.
        efficiency: How many baseline images one image is worth: `multiplier` with an interval whose
            ends are 0 or infinite where open; `bound` is ">=" or "<=" where the multiplier is only
            a bound; `extrapolated` where it rests on the law beyond the largest size; `verdict` is
            that of the error at this size or, where that is not told apart, over all sizes. An
            interval beyond 1 without it is one of many that were looked at.
        parameters: Factor, exponent and floor of both curves and their difference, with p-values
            corrected over all rows and a verdict on it as in `ratios`. This takes the law for
            granted, and no parameter is `identified` where the curves refute it. `alone` is the
            share of the change that the parameter explains when it is the only one that moves.
        speed: Mean steps to the best checkpoint of both and their ratio, and the shares of trials
            (`…_at_end`) that were best at their last step, so that their best may come later still.
        sentences: What was found, most important first.
        warnings: What was left out, and why.
    """

    baseline: str
    metric: str
    level: float
    ratios: pd.DataFrame
    overall: pd.DataFrame
    efficiency: pd.DataFrame
    parameters: pd.DataFrame
    speed: pd.DataFrame
    sentences: list[str]
    warnings: list[str]

    def to_frame(self) -> pd.DataFrame:
        """Return ratios and efficiency side by side, a row per task, network, arm and size."""
        return self.ratios.merge(
            self.efficiency.drop(columns="verdict"),
            on=_ROW,
            suffixes=("_ratio", "_multiplier"),
            validate="1:1",
        )


def compare(
    trials: pd.DataFrame,
    cases: pd.DataFrame | None,
    *,
    baseline: str,
    metric: str = "dice",
    level: float = 0.95,
) -> Comparison:
    """Compare every arm with the baseline, task by task and network by network.

    Args:
        trials: As `medscale.report.tables.trial_table` makes it.
        cases: As `medscale.report.tables.case_table` makes it; without it, test cases count as
            given and only trials vary.
        baseline: Label of the arm to compare with.
        metric: "dice" or "bce".
        level: Of the intervals, in (0, 1); one minus it is what corrected p-values are held to.

    Raises:
        DataError: If an argument is none of these, an arm lacks, or nothing can be paired.
    """
    _check(trials, baseline, metric, level)
    errors = trials.assign(subject="", case="") if cases is None else cases
    values = errors[metric]
    errors = errors.assign(error=1 - values if _IS_SCORE[metric] else values)
    ratios: list[dict[str, Any]] = []
    overall: list[dict[str, Any]] = []
    efficiency: list[dict[str, Any]] = []
    parameters: list[dict[str, Any]] = []
    warnings: list[str] = []
    for place, of_baseline, arms in _groups(errors, baseline):
        law = law_of(of_baseline)
        for arm, rows in arms.items():
            paired = pair(of_baseline, rows)
            curve = place | {"arm": arm}
            lacks = (*paired.warnings, *_shortcomings(paired, law))
            warnings += [f"{', '.join(curve.values())}: {text}" for text in lacks]
            if len(paired.sizes) == 0:
                continue
            curves = LogMeans.of(paired)
            ratios += [curve | row for row in _ratios(curves, paired, level)]
            known = None if isinstance(law, str) else law
            worth = multipliers(curves, paired.sizes, known, level)
            efficiency += [curve | asdict(found) for found in worth]
            # A run that goes on may have one trial of its largest size.
            repeated = paired.repeated()
            curves = LogMeans.of(repeated)
            overall.append(curve | _overall(curves, repeated.sizes, level))
            moved = movements(curves, repeated.sizes, level)
            if moved[0].law_p <= 1 - level:
                warnings.append(
                    f"{', '.join(curve.values())}: factor · n^−exponent + floor does not fit both "
                    f"curves (p = {moved[0].law_p:.2g}), so nothing is said of its parameters"
                )
            parameters += [curve | asdict(found) for found in moved]
    if not ratios:
        raise DataError(
            f"nothing can be compared with {baseline!r}, which takes the same sizes, splits and "
            f"replicates: {'; '.join(dict.fromkeys(warnings))}"
        )
    each = _judged(pd.DataFrame(ratios), level, "ratio", same=1)[_RATIOS]
    every = _judged(pd.DataFrame(overall), level, "ratio", same=1)[_OVERALL]
    tables = {
        "ratios": each,
        "overall": every,
        "efficiency": _with_verdicts(pd.DataFrame(efficiency), each, every),
        "parameters": _judged(pd.DataFrame(parameters), level, "difference", same=0),
    }
    return Comparison(
        baseline=baseline,
        metric=metric,
        level=level,
        **tables,
        speed=_speed(trials, baseline, level),
        sentences=sentences(**tables, baseline=baseline),
        warnings=warnings,
    )


def usual_baseline(arms: Iterable[str]) -> str:
    """Return the arm that others are compared with if nobody says: none, or the first."""
    names = list(arms)
    return "none" if "none" in names else names[0]


def _check(trials: pd.DataFrame, baseline: str, metric: str, level: float) -> None:
    if metric not in _IS_SCORE:
        raise DataError(f"metric {metric!r} cannot be compared: use dice or bce")
    if not 0 < level < 1:
        raise DataError(f"level is {level}, expected a number between 0 and 1, such as 0.95")
    if trials["dataset"].nunique() > 1:
        names = ", ".join(trials["dataset"].unique())
        raise DataError(f"trials are of several data sets ({names}): compare one at a time")
    arms = list(trials["arm"].unique())
    if baseline not in arms:
        raise DataError(f"no arm {baseline!r} is among the trials: {did_you_mean(baseline, arms)}")
    if len(arms) == 1:
        raise DataError(f"{baseline!r} is the only arm, so there is nothing to compare it with")


def _groups(
    rows: pd.DataFrame, baseline: str
) -> Iterator[tuple[dict[str, str], pd.DataFrame, dict[str, pd.DataFrame]]]:
    """Yield each task and network with the baseline's rows and those of every other arm."""
    for _, group in rows.groupby(_PLACE, sort=False):
        place = {name: str(group[name].iloc[0]) for name in _PLACE}
        arms = {str(arm): own for arm, own in group.groupby("arm", sort=False)}
        yield place, arms.pop(baseline, group[:0]), arms


def _shortcomings(paired: PairedErrors, law: Fit | str) -> list[str]:
    """Return what these pairs cannot say."""
    if len(paired.sizes) == 0:
        return ["no trial has a partner, so the arm is left out"]
    found = []
    if paired.pairs.min() == 1:
        single = ", ".join(str(size) for size in paired.sizes[paired.pairs == 1])
        found.append(f"one pair of trials at n = {single} gives no interval: run more replicates")
    if paired.subjects == 1:
        found.append("test cases are of one subject or not known: intervals are of these cases")
    if isinstance(law, str):
        found.append(f"nothing is said beyond n = {paired.sizes[-1]}, as no law fits: {law}")
    sizes = len(paired.repeated().sizes)
    if sizes < LEAST_SIZES:
        found.append(
            f"{sizes} size{' does' if sizes == 1 else 's do'} not identify factor, exponent and "
            f"floor: run {LEAST_SIZES} or more"
        )
    return found


def _ratios(curves: LogMeans, paired: PairedErrors, level: float) -> list[dict[str, Any]]:
    """Return the arm's mean error over the baseline's at every size."""
    own = np.eye(len(paired.sizes))
    table = _told(curves.contrasts(np.hstack([-own, own])), level)
    table = table.assign(size=paired.sizes, replicates=paired.pairs)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _overall(curves: LogMeans, sizes: np.ndarray, level: float) -> dict[str, Any]:
    """Return the geometric mean of the ratios over sizes, and the common multiplier."""
    count = len(sizes)
    table = _told(curves.contrasts(np.repeat([[-1 / count, 1 / count]], count, axis=1)), level)
    common = common_multiplier(curves, sizes, level)
    return {str(name): value for name, value in table.iloc[0].items()} | {
        "multiplier": float(np.exp(common.place)),
        "multiplier_low": float(np.exp(common.low)),
        "multiplier_high": float(np.exp(common.high)),
        "bound": common.bound,
    }


def _told(contrasts: Contrasts, level: float) -> pd.DataFrame:
    """Return log ratios as ratios, with intervals and p-values."""
    margin = contrasts.margin(level)
    logs = {"ratio": np.zeros_like(margin), "low": -margin, "high": margin}
    ratios = {name: np.exp(contrasts.values + offset) for name, offset in logs.items()}
    return pd.DataFrame(ratios | {"p": contrasts.p_values()})


def _judged(table: pd.DataFrame, level: float, column: str, same: float) -> pd.DataFrame:
    """Correct the p-values for the number of rows and say on which side of `same` a column is."""
    adjusted = holm(table["p"].to_numpy(float))
    told = np.where(table[column] < same, "lower", "higher")
    verdicts = np.where(adjusted <= 1 - level, told, "not told apart")
    verdicts = np.where(np.isnan(adjusted), "", verdicts)
    return table.assign(p_adjusted=adjusted, verdict=verdicts)


def _with_verdicts(
    efficiency: pd.DataFrame, each: pd.DataFrame, every: pd.DataFrame
) -> pd.DataFrame:
    """Return what images are worth with the verdicts on the errors that it rests on."""
    of_size = efficiency.merge(each, on=_ROW, validate="1:1")["verdict"]
    of_curve = efficiency.merge(every, on=_ROW[:3], validate="m:1")["verdict"]
    return efficiency.assign(verdict=of_size.where(of_size.isin(["lower", "higher"]), of_curve))


def _speed(trials: pd.DataFrame, baseline: str, level: float) -> pd.DataFrame:
    """Return the mean steps to the best checkpoint of both arms, and their ratio."""
    rows: list[dict[str, Any]] = []
    # A recipe that chooses no checkpoint has none of this.
    steps = trials.assign(subject="", case="", error=trials.get("best_step", np.nan))
    for place, of_baseline, arms in _groups(steps.dropna(subset="error"), baseline):
        for arm, of_arm in arms.items():
            paired = pair(of_baseline, of_arm)
            if len(paired.sizes) == 0:
                continue
            means = paired.errors.sum((2, 3)) / paired.pairs
            at_end = [
                (own["best_step"] >= own["steps"]).groupby(own["size"]).mean()
                for own in (of_baseline, of_arm)
            ]
            for index, row in enumerate(_ratios(LogMeans.of(paired), paired, level)):
                shares = (share[row["size"]] for share in at_end)
                found = dict(zip(_STEPS, (*means[:, index], *shares), strict=True))
                rows.append(place | {"arm": arm} | row | found)
    return pd.DataFrame(rows, columns=_SPEED)

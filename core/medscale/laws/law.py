"""A fitted learning curve: what it predicts, how surely, and what a target needs."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from medscale.errors import DataError
from medscale.laws import forecast, intervals
from medscale.laws.averaging import Average, average
from medscale.laws.families import Array
from medscale.laws.forecast import Required
from medscale.laws.measure import Measure
from medscale.laws.observations import NOT_NEGATIVE, Observations, observe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class FamilyFit:
    """One family in the average.

    Attributes:
        name: Identifier.
        title: For people.
        weight: Of the family, over all its readings.
        parameters: By name, of its heaviest reading: error and slope at the largest size, floor,
            and its shape.
        miss: Root mean square error of ln error on held-out sizes; NaN where none was held out.
        failure: Why there is no fit; empty where there is one.
    """

    name: str
    title: str
    weight: float
    parameters: dict[str, float]
    miss: float
    failure: str = ""


@dataclass(frozen=True)
class Fit:
    """An average of families, fitted to the trials of one curve.

    Attributes:
        warnings: One sentence each about what is odd in the data.
        largest: Error above which none can be; infinite where there is no such.
        available: Largest size that can be run; infinite where that is not known.
    """

    _seen: Observations = field(repr=False)
    _average: Average = field(repr=False)
    warnings: tuple[str, ...]
    largest: float
    available: float

    @property
    def sizes(self) -> Array:
        """Sizes that were run, ascending (K,)."""
        return self._seen.sizes

    @property
    def means(self) -> Array:
        """Observed mean error of each size (K,)."""
        return self._seen.means

    @property
    def subjects(self) -> int:
        """Test subjects whose errors were given one by one; 1 where trials had one error each."""
        return self._seen.subjects

    @property
    def scope(self) -> str:
        """What all intervals are about, in words."""
        if self.subjects > 1:
            return f"new patients, of whom the {self.subjects} test subjects are a sample"
        return "these very test cases, not new patients"

    @cached_property
    def families(self) -> tuple[FamilyFit, ...]:
        """Every family: heaviest first, those that could not be fitted last."""
        fits = [
            FamilyFit(
                name=family.name,
                title=family.title,
                weight=weight,
                parameters=member.parameters,
                miss=member.miss,
            )
            for family, weight, member in self._average.by_family()
        ]
        fits.sort(key=lambda fit: -fit.weight)
        for failure in self._average.failures:
            family = failure.family
            fits.append(
                FamilyFit(
                    name=family.name,
                    title=family.title,
                    weight=0.0,
                    parameters={},
                    miss=math.nan,
                    failure=failure.reason,
                )
            )
        return tuple(fits)

    def predict(self, n: ArrayLike) -> Array:
        """Return the mean error at sizes n, in the shape of n."""
        return np.minimum(np.exp(self._foretell(n).log_error), self.largest)

    def interval(
        self, n: ArrayLike, level: float = 0.9, kind: Literal["mean", "run"] = "mean"
    ) -> tuple[Array, Array]:
        """Return the ends of an interval at sizes n, in the shape of n.

        Args:
            n: Training-set sizes.
            level: Share of the time that the interval is to hold the truth.
            kind: "mean", of the mean over runs; "run", of one new run. `scope` says over which
                patients the errors are meant.
        """
        _check_level(level)
        centre, variance, case_variance = self._foretell(n)
        if kind == "run":
            variance = variance + intervals.trial_variance(self._seen, np.log(_sizes(n)))
        half = intervals.half_width(self._seen, variance, case_variance, level)
        # At a level near 1 an interval may have no end.
        with np.errstate(over="ignore"):
            low, high = np.exp(centre - half), np.exp(centre + half)
        return np.minimum(low, self.largest), np.minimum(high, self.largest)

    @cached_property
    def floor(self) -> tuple[float, float, float]:
        """What no number of images removes: estimate and 90 % profile interval."""
        return intervals.floor_interval(self._seen, self._average, 0.9)

    @cached_property
    def slope_at_largest(self) -> tuple[float, float, float]:
        """How fast the error falls at the largest size: estimate and 90 % interval.

        It is −d ln error / d ln n there: with a slope of 0.3, 1 % more images remove 0.3 % of the
        error. That is about all of the error, its floor included, and about this size alone: a
        curve that levels off is flatter beyond. As every law falls, both ends are above 0, even
        where the data do not show that the error falls.
        """
        return intervals.slope_interval(self._seen, self._average, 0.9)

    @cached_property
    def trusted_factor(self) -> float:
        """Up to which multiple of the largest size a prediction is trusted.

        More sizes would extend it, but no more test cases: it is about the law. It is 1 where the
        error rises over the last sizes, since all laws fall.
        """
        if self._seen.rises:
            return 1.0
        return forecast.trusted_factor(self._curve(0.9, new_patients=False), self.sizes)

    @property
    def next_sizes(self) -> tuple[float, ...]:
        """Sizes worth running next, as far as there are images to annotate."""
        return forecast.next_sizes(self.sizes, self.available)

    @property
    def advice(self) -> str:
        """What to do where these sizes do not tell, as an imperative."""
        return forecast.advise(self.next_sizes, self.available)

    def required(
        self, target: float, level: float = 0.9, *, measure: Measure | None = None
    ) -> Required:
        """Return at which size the mean error reaches a target, and how surely.

        Whether there is a number is about the law, as is how far it is trusted: no size that could
        be added would tell more of other patients. Its interval is about these, too.

        Args:
            target: Mean error.
            level: Of the interval.
            measure: What the sentence of the answer speaks of; None: of the error.

        Raises:
            DataError: If the target is no positive number.
        """
        _check_level(level)
        if not (math.isfinite(target) and target > 0):
            raise DataError(f"target got {target}, expected an error above 0, such as 1 − Dice")
        return forecast.required(
            target,
            self._curve(level),
            self._curve(forecast.SURE_OF_REACHING, new_patients=False),
            sizes=self.sizes,
            floor=self.floor,
            trusted_factor=self.trusted_factor,
            advice=self.advice,
            level=level,
            measure=measure or Measure(),
        )

    def _curve(self, level: float, *, new_patients: bool = True) -> forecast.Curve:
        def curve(n: Array) -> tuple[Array, Array, Array]:
            centre, variance, case_variance = self._foretell(n)
            if not new_patients:
                case_variance = np.zeros_like(case_variance)
            half = intervals.half_width(self._seen, variance, case_variance, level)
            with np.errstate(over="ignore"):
                return np.exp(centre), np.exp(centre - half), np.exp(centre + half)

        return curve

    def _foretell(self, n: ArrayLike) -> intervals.Foretold:
        sizes = _sizes(n)
        x = np.log(sizes.ravel() / self.sizes[-1])
        foretold = intervals.foretell(self._seen, self._average, x)
        return intervals.Foretold(*(part.reshape(sizes.shape) for part in foretold))


def fit(
    sizes: ArrayLike,
    errors: ArrayLike,
    *,
    replicates: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    largest: float = math.inf,
    available: float = math.inf,
) -> Fit:
    """Fit the learning curve of some trials.

    With errors by test case, intervals are about new patients, of whom the test subjects are a
    sample: trials at all sizes share them, so that the curve varies with the sample however many
    trials there are. With one error a trial, intervals are about these very test cases.
    Predictions are the same.

    Args:
        sizes: Training-set size of each trial (T,).
        errors: Error of each trial (T,), or of each trial on each test case (T, C), NaN where a
            trial was not scored on a case; none below 0; for Dice and its like 1 − score.
        replicates: Label of each trial's replicate (T,): trials of one replicate share their
            nested training sets and err together.
        subjects: Label of each test case's subject (C,): cases of one subject are alike. None:
            every case is another subject.
        largest: Error above which none can be, where intervals end: 1 for 1 − score.
        available: Largest size that can be run; advice names none above it.

    Raises:
        DataError: If no curve can be fitted: no two sizes, errors below 0 or not finite, a mean
            error of 0, or one that surely rises.
    """
    return _law(observe(sizes, errors, replicates, subjects), largest, available)


def fit_cases(rows: pd.DataFrame, *, largest: float = math.inf, available: float = math.inf) -> Fit:
    """Fit the learning curve of a table of test cases; intervals are about new patients.

    Args:
        rows: Columns size, split, replicate, subject, case and error: a row per trial and case.
        largest: As for `fit`.
        available: As for `fit`.

    Raises:
        DataError: As `fit`, and if a test case is twice in one trial.
    """
    trial, case = ["size", "split", "replicate"], ["subject", "case"]
    for name in (*trial, *case):
        if rows[name].isna().any():
            place = rows.index[rows[name].isna()][0]
            raise DataError(f"row {place} has no {name}, expected one; leave that row out")
    twice = rows[rows.duplicated([*trial, *case])]
    if len(twice):
        first = _first(twice)
        raise DataError(
            f"case {first['case']!r} is twice in the trial of n = {first['size']:g}, split "
            f"{first['split']}, replicate {first['replicate']}, expected once: replicates need "
            "labels of their own"
        )
    below = rows[rows["error"] < 0]
    if len(below):
        first = _first(below)
        raise DataError(
            f"the error of case {first['case']!r} in the trial of n = {first['size']:g}, split "
            f"{first['split']}, replicate {first['replicate']}, is {first['error']:g}, "
            f"{NOT_NEGATIVE}"
        )
    errors = rows.pivot(index=trial, columns=case, values="error")
    trials = errors.index.to_frame(index=False)
    seen = observe(
        trials["size"],
        errors.to_numpy(),
        replicates=trials.groupby(["split", "replicate"]).ngroup(),
        subjects=errors.columns.get_level_values("subject"),
        splits=trials["split"],
    )
    return _law(seen, largest, available)


def _first(rows: pd.DataFrame) -> dict[Hashable, Any]:
    """Return the first row, each value of its own type: a Series would make all numbers floats."""
    return rows.head(1).to_dict("records")[0]


def _law(seen: Observations, largest: float, available: float) -> Fit:
    if not largest >= seen.means.max():
        raise DataError(
            f"largest got {largest:g}, expected an error that no mean exceeds; that at "
            f"n = {seen.sizes[seen.means.argmax()]:g} is {seen.means.max():g}"
        )
    return Fit(seen, average(seen), seen.warnings, largest, available)


def _sizes(n: ArrayLike) -> Array:
    sizes = np.asarray(n, dtype=float)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise DataError(f"n got {n!r}, expected numbers of training images above 0")
    return sizes


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise DataError(f"level got {level}, expected a share between 0 and 1, such as 0.9")

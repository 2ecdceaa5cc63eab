"""What a curve is fitted to: mean errors by size and how well each is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medscale.errors import DataError
from medscale.laws.best_so_far import dense, repeats, uncover
from medscale.laws.cases import by_subject, count_missing, shared_covariance
from medscale.laws.noise import common_correlation, scatter_about_neighbours, shrunk_variance
from medscale.laws.oddities import best_so_far, late_rise, oddities, together, unscored, zeros

Array = NDArray[np.float64]

_MOST_SIZES = 1000
"""More take more memory than they tell: sizes within a doubling say nearly the same."""

NOT_NEGATIVE = (
    "expected none below 0; where they are 1 − score, the scores must be shares between 0 and 1, "
    "not per cent"
)
"""The end of the sentence about a negative error."""


@dataclass(frozen=True)
class Observations:
    """Mean errors at K sizes, in ascending order.

    Attributes:
        sizes: Training-set sizes (K,).
        means: Mean error over the trials of each size (K,).
        log_means: What laws are fitted to: logarithms of the means, or, where these are the best so
            far of one run, of what its checkpoints had (K,).
        counts: Trials of each size (K,).
        doubt: Covariance of the log means as they are not known to be those of checkpoints (K, K).
        trial_variance: Variance of ln error of one trial, smoothed over sizes (K,).
        correlation: Of the log means of two sizes that share replicates (K, K).
        degrees: Degrees of freedom that the variances rest on.
        subjects: Test subjects whose errors are known one by one; 1 where trials have one error.
        case_covariance: Of the log means, because all trials share these subjects (K, K).
        rises: Whether the error rises over the last sizes, beyond what noise explains.
        warnings: One sentence each about what is odd.
    """

    sizes: Array
    means: Array
    log_means: Array
    doubt: Array
    counts: NDArray[np.intp]
    trial_variance: Array
    correlation: Array
    degrees: float
    subjects: int
    case_covariance: Array
    rises: bool
    warnings: tuple[str, ...]

    @property
    def single(self) -> bool:
        """Whether there is one trial of each size, as along one training run."""
        return bool((self.counts == 1).all())

    @property
    def log_sizes(self) -> Array:
        """Logarithms of the sizes (K,)."""
        return np.log(self.sizes)

    @property
    def variance(self) -> Array:
        """Variance of the log means over trials, these test cases being given (K,)."""
        return self.trial_variance / self.counts


def errors_from_scores(scores: ArrayLike) -> Array:
    """Return 1 − score for a score between 0 and 1 of which more is better, such as Dice.

    Raises:
        DataError: If a score is no number between 0 and 1.
    """
    values = _vector(scores, "scores")
    outside = values[(values < 0) | (values > 1)]
    if len(outside):
        hint = "; these look like per cent: divide by 100" if outside.max() > 1 else ""
        raise DataError(f"scores got {outside[0]:g}, expected shares between 0 and 1{hint}")
    return 1 - values


def observe(
    sizes: ArrayLike,
    errors: ArrayLike,
    replicates: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    splits: ArrayLike | None = None,
) -> Observations:
    """Check trials and gather them by size.

    Args:
        sizes: Training-set size of each trial, (T,).
        errors: Error of each trial, (T,), or of each trial on each test case, (T, C), NaN where it
            was not scored on it; in any positive unit.
        replicates: Label of each trial's replicate, (T,): trials of one replicate have nested
            training sets, so that their errors err together. None: every trial on its own.
        subjects: Label of each test case's subject, (C,). None: every case is another subject.
        splits: Label of each trial's split, (T,): trials of one split have the same test cases, so
            that what one of them was not scored on is missing. None: all trials are of one split.

    Raises:
        DataError: If no curve can be fitted to these.
    """
    n, by_case = _vector(sizes, "sizes"), _by_case(errors)
    labels = np.arange(len(n)) if replicates is None else _labels(replicates, "replicates")
    split = np.zeros(len(n), dtype=np.intp) if splits is None else _labels(splits, "splits")
    for name, other in (("errors", by_case), ("replicates", labels), ("splits", split)):
        if len(other) != len(n):
            raise DataError(
                f"{name} got {len(other)} values for {len(n)} sizes, expected one for each trial"
            )
    missing = count_missing(by_case, split)
    parts, shares = by_subject(by_case, _subjects(subjects, by_case.shape[1]))
    error = parts.sum(axis=1)
    _refuse_impossible(n, error)
    order = np.lexsort((labels, error, n))
    n, error, labels = n[order], error[order], labels[order]
    levels, place, counts = np.unique(n, return_inverse=True, return_counts=True)
    if len(levels) > _MOST_SIZES:
        raise DataError(
            f"trials have {len(levels)} different sizes, expected at most {_MOST_SIZES}; keep 200 "
            "or so, evenly spaced in the logarithm of the size"
        )
    means = np.bincount(place, weights=error) / counts
    if not means.all():
        raise DataError(
            f"the mean error at n = {levels[means == 0][0]:g} is 0, which no curve in logarithms "
            "can reach; leave that size out, or give an error that is not rounded to 0"
        )
    relative = error / means[place] - 1
    if (counts > 1).any():
        squares = np.bincount(place, weights=relative**2).astype(float)
        variance, degrees = shrunk_variance(np.log(levels), squares, (counts - 1).astype(float))
        correlation = common_correlation(place, relative, labels)
        log_means, doubt = np.log(means), np.zeros((len(means), len(means)))
        told: tuple[str, ...] = ()
    else:
        log_means, doubt, level, degrees, told = _of_one_run(levels, means)
        variance, correlation = np.full(len(levels), level), np.eye(len(levels))
    crowd = together(levels) if counts.max() == 1 else 1.0
    rise = late_rise(levels, means, variance / counts * crowd, correlation, degrees)
    return Observations(
        sizes=levels,
        means=means,
        log_means=log_means,
        doubt=doubt,
        counts=counts,
        trial_variance=variance,
        correlation=correlation,
        degrees=degrees,
        subjects=parts.shape[1],
        case_covariance=shared_covariance(parts[order], shares[order], place, labels),
        rises=bool(rise),
        warnings=(
            *oddities(levels, means, variance / counts),
            *rise,
            *told,
            *zeros(levels, np.bincount(place[error == 0], minlength=len(levels)), counts),
            *unscored(*missing),
        ),
    )


def _of_one_run(sizes: Array, errors: Array) -> tuple[Array, Array, float, float, tuple[str, ...]]:
    """Return what single trials tell: log means, doubt, variance of a trial, degrees, warnings."""
    log_errors = np.log(errors)
    variance, degrees = scatter_about_neighbours(np.log(sizes), log_errors)
    doubt, repeated, hidden = np.zeros((len(sizes), len(sizes))), repeats(errors), None
    if repeated.any() and dense(sizes):
        log_errors, doubt, variance = uncover(sizes, log_errors, repeated, variance)
        hidden = float(np.exp(log_errors[-1]))
    told = best_so_far(sizes, errors, int(repeated.sum()), hidden)
    return log_errors, doubt, variance, degrees, told


def _by_case(errors: ArrayLike) -> Array:
    """Return errors by trial and test case (T, C); one error of each trial is one case."""
    values = _numbers(errors, "errors")
    if values.ndim != 2:
        return _vector(values, "errors")[:, None]
    if np.isinf(values).any():
        trial, case = np.argwhere(np.isinf(values))[0]
        raise DataError(
            f"errors[{trial}, {case}] is {values[trial, case]}, expected a number, or NaN where "
            "the trial was not scored on that test case"
        )
    if (values < 0).any():
        trial, case = np.argwhere(values < 0)[0]
        raise DataError(
            f"errors[{trial}, {case}], of trial {trial} on test case {case}, is "
            f"{values[trial, case]:g}, {NOT_NEGATIVE}"
        )
    untested = np.flatnonzero(np.isnan(values).all(axis=1))
    if len(untested):
        raise DataError(
            f"errors[{untested[0]}] hold no test case, expected one or more; leave that trial out"
        )
    return values


def _subjects(subjects: ArrayLike | None, cases: int) -> NDArray[np.intp]:
    """Return the number of each test case's subject (C,)."""
    if subjects is None:
        return np.arange(cases)
    labels = _labels(subjects, "subjects")
    if len(labels) != cases:
        raise DataError(
            f"subjects got {len(labels)} labels for {cases} test cases, expected one for each: "
            "errors have a row per trial and a column per test case"
        )
    return labels


def _labels(values: ArrayLike, name: str) -> NDArray[np.intp]:
    """Return the number of each label; labels are names, of whatever type, and none is missing."""
    try:
        flat = np.ndim(values) == 1
    except ValueError:
        flat = False
    if not flat:
        raise DataError(f"{name} got {values!r}, expected one label for each, such as 0, 1, 2")
    numbers: dict[Any, int] = {}
    for place, label in enumerate(labels := list(values)):  # type: ignore[arg-type]
        # Labels that are unlike themselves are NaN, or nothing that can be told.
        if label is None or not isinstance(label == label, bool | np.bool_) or label != label:
            raise DataError(f"{name}[{place}] is {label!r}, expected a label")
        numbers.setdefault(label, len(numbers))
    return np.array([numbers[label] for label in labels], dtype=np.intp)


def _numbers(values: ArrayLike, name: str) -> Array:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} hold something that is no number: {error}") from error


def _vector(values: ArrayLike, name: str) -> Array:
    vector = _numbers(values, name)
    if vector.ndim != 1 or not len(vector):
        raise DataError(f"{name} have shape {vector.shape}, expected one value for each trial")
    if not np.isfinite(vector).all():
        place = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise DataError(
            f"{name}[{place}] is {vector[place]}, expected a number; leave that trial out"
        )
    return vector


def _refuse_impossible(sizes: Array, errors: Array) -> None:
    if sizes.min() <= 0:
        raise DataError(f"sizes got {sizes.min():g}, expected numbers of training images above 0")
    if errors.min() < 0:
        raise DataError(f"errors got {errors.min():g}, {NOT_NEGATIVE}")
    if sizes.min() == sizes.max():
        those = "the only trial has" if len(sizes) == 1 else f"all {len(sizes)} trials have"
        raise DataError(
            f"{those} n = {sizes[0]:g}, expected two sizes or more (better "
            f"five); run n = {2 * sizes[0]:g} and {4 * sizes[0]:g}"
        )

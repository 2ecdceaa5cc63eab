"""What mean errors owe to the test subjects that all trials share.

However many trials are run, they are scored on one sample of patients; were it another one, all
sizes would err together by as much as patients differ. That part of the variance of log means is
what subjects vary beyond the interaction with trials, as `medscale.laws.crossed` has it: the
interaction is part of how trials differ, and counted there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medscale.laws.crossed import LogMeans

Array = NDArray[np.float64]


def by_subject(errors: Array, subjects: NDArray[np.intp]) -> tuple[Array, Array]:
    """Return each subject's part in the mean error of each trial, and its share of the cases.

    Args:
        errors: Of each trial on each test case, NaN where it was not scored on it (T, C).
        subjects: Number of each case's subject, from 0 on (C,).

    Returns:
        Both (T, S); over S, the first adds up to the mean error of a trial, the second to 1.
    """
    known = np.isfinite(errors)
    parts, shares = np.zeros((2, len(errors), subjects.max() + 1))
    np.add.at(parts.T, subjects, np.where(known, errors, 0).T)
    np.add.at(shares.T, subjects, known.T)
    cases = known.sum(axis=1, keepdims=True)
    return parts / cases, shares / cases


def count_missing(errors: Array, splits: NDArray[np.generic]) -> tuple[int, int]:
    """Return how many scores are missing, and how many there should be.

    A trial should be scored on every test case that any trial of its split was scored on; splits
    may have test cases of their own.

    Args:
        errors: Of each trial on each test case, NaN where it was not scored on it (T, C).
        splits: Label of each trial's split (T,).
    """
    missing = expected = 0
    for split in np.unique(splits):
        known = np.isfinite(errors[splits == split])
        own = known[:, known.any(axis=0)]
        missing += int((~own).sum())
        expected += own.size
    return missing, expected


def shared_covariance(
    parts: Array, shares: Array, place: NDArray[np.intp], labels: NDArray[np.generic]
) -> Array:
    """Return the covariance of the log means of all sizes that comes from test subjects (K, K).

    Args:
        parts: Each subject's part in the mean error of each trial (T, S).
        shares: Its share of the trial's cases (T, S).
        place: Which size each trial is of (T,).
        labels: Replicate of each trial (T,).
    """
    _, replicate = np.unique(labels, return_inverse=True)
    cells = (place.max() + 1, replicate.max() + 1, parts.shape[1])
    errors, cases, trials = np.zeros(cells), np.zeros(cells), np.zeros((*cells[:2], 1))
    np.add.at(errors, (place, replicate), parts)
    np.add.at(cases, (place, replicate), shares)
    np.add.at(trials, (place, replicate), 1)
    trials = np.maximum(trials, 1)
    return LogMeans.of_arms((errors / trials)[None], cases / trials).subject_covariance()

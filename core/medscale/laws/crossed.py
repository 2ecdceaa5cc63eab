"""Sampling variation of log mean errors over training subsets crossed with test subjects.

All trials of a split are scored on the same test subjects, as readers of a multi-reader,
multi-case study read the same cases. The variance of a mean is therefore that of Dorfman, Berbaum
and Metz (1992) in the form of Hillis (2007, Stat Med 26:596–619): with trials in rows and subjects
in columns, that of the row means plus what the column means vary beyond the interaction, by leaving
out each trial and each subject. Any linear contrast of log means, between arms and between sizes,
has its variance with all covariances that the pairing brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medscale.laws import tails

if TYPE_CHECKING:
    from medscale.laws.pairing import PairedErrors


class Contrasts(NamedTuple):
    """Linear contrasts of log mean errors.

    Attributes:
        values: (C,) estimates.
        variances: (V, C) what new training subsets, new test subjects and whatever was added since
            contribute to their variances; NaN where there is one trial only.
        df: (V, C) degrees of freedom of each part.
    """

    values: np.ndarray
    variances: np.ndarray
    df: np.ndarray

    @property
    def se(self) -> np.ndarray:
        """Standard errors (C,)."""
        return np.asarray(np.sqrt(self.variances.sum(0)))

    def plus(self, values: np.ndarray, variances: np.ndarray) -> Contrasts:
        """Return the contrasts with others (C,) added that are independent and well known."""
        return Contrasts(
            self.values + values,
            np.vstack([self.variances, variances]),
            np.vstack([self.df, np.full_like(self.values, np.inf)]),
        )

    def margin(self, level: float) -> np.ndarray:
        """Return half the width (C,) of the interval of that level."""
        return tails.margin(1 - level, self.variances, self.df)

    def p_values(self) -> np.ndarray:
        """Return the two-sided p-value (C,) of each contrast being zero."""
        return tails.p_values(self.values, self.variances, self.df)


_LEAST_LEFT = 1e-12
"""Least error of a curve without one of its trials or subjects, relative to that with it."""


@dataclass(frozen=True)
class LogMeans:
    """Logs of mean errors, arm by arm and within each size by size, and how they vary together.

    Attributes:
        values: (P,) with P = A K, the number of arms times that of sizes.
        by_trial: (P, R) what each trial does to each value by the jackknife; the Gram matrix is the
            covariance of row means.
        by_subject: (P, S) the same of each test subject.
        interaction: (P, R·S) the same of what rows and columns leave.
        pairs: (P,) number of trials behind each value.
    """

    values: np.ndarray
    by_trial: np.ndarray
    by_subject: np.ndarray
    interaction: np.ndarray
    pairs: np.ndarray

    @classmethod
    def of(cls, paired: PairedErrors) -> LogMeans:
        """Return the logs of the mean errors, baseline first.

        Args:
            paired: Mean errors are positive at every size, with a pair at least.
        """
        return cls.of_arms(paired.errors, paired.shares)

    @classmethod
    def of_arms(cls, errors: np.ndarray, shares: np.ndarray) -> LogMeans:
        """Return the logs of the mean errors of arms with the same trials and test cases.

        Args:
            errors: (A, K, R, S) and
            shares: (K, R, S) as `PairedErrors` has them; mean errors are positive at every size,
                with a trial at least.
        """
        trials = (shares.sum(2) > 0).sum(1)
        means = errors.sum((2, 3)) / trials
        count = means.size
        return cls(
            values=np.log(means).reshape(count),
            by_trial=_jackknife(errors.sum(3), shares.sum(2)).reshape(count, -1),
            by_subject=_jackknife(errors.sum(2), shares.sum(1)).reshape(count, -1),
            interaction=_interaction(errors, shares, means).reshape(count, -1),
            pairs=np.tile(trials, len(errors)),
        )

    def contrasts(self, weights: np.ndarray) -> Contrasts:
        """Return contrasts of the values.

        Args:
            weights: (C, P), a row per contrast.
        """
        trial, subject, interaction = (
            ((weights @ part) ** 2).sum(1)
            for part in (self.by_trial, self.by_subject, self.interaction)
        )
        beyond = np.maximum(subject - interaction, 0)
        used = np.where(weights != 0, self.pairs, np.iinfo(self.pairs.dtype).max)
        fewest = used.min(1)
        trial[fewest < 2] = np.nan
        subjects_df = max(self.by_subject.shape[1] - 1, 1)
        return Contrasts(
            weights @ self.values,
            np.stack([trial, beyond]),
            np.stack([np.maximum(fewest - 1, 1), np.full_like(fewest, subjects_df)]).astype(float),
        )

    def covariance(self) -> np.ndarray:
        """Return the (P, P) covariance of the values, with no negative eigenvalue."""
        return np.asarray(self.by_trial @ self.by_trial.T + self.subject_covariance())

    def subject_covariance(self) -> np.ndarray:
        """Return its part that comes from test subjects and not from their trials (P, P)."""
        beyond = self.by_subject @ self.by_subject.T - self.interaction @ self.interaction.T
        # As in `contrasts`, the subjects' part cannot take from what the trials say.
        values, vectors = np.linalg.eigh(beyond)
        return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def _jackknife(errors: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return what leaving out each trial, or each subject, does to the logs of mean errors.

    Args:
        errors: (A, K, N) summed errors of each.
        shares: (K, N) their summed shares of the cases; zero where it is missing.

    Returns:
        (A, K, N) deviations, whose sum of squares is the jackknife's variance.
    """
    count = (shares > 0).sum(1)
    left = errors.sum(2, keepdims=True) - errors
    # Where the others make no error at all, everything hangs on this one.
    left = np.maximum(left, _LEAST_LEFT * errors.sum(2, keepdims=True))
    cases = shares.sum(1, keepdims=True) - shares
    several = (shares > 0) & (count > 1)[:, None]
    logs = np.where(several, np.log(left / np.where(several, cases, 1)), 0)
    deviations = np.where(several, logs - (logs.sum(2) / np.maximum(count, 1))[..., None], 0)
    return np.asarray(np.sqrt(1 - 1 / np.maximum(count, 1))[:, None] * deviations)


def _interaction(errors: np.ndarray, shares: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return (A, K, R, S) what is left of the linearised logs beyond trials and subjects."""
    present = shares > 0
    pairs, subjects = present.any(2).sum(1)[:, None, None], shares.shape[2]
    influence = (errors / means[..., None, None] - shares) / pairs
    of_trials = influence.sum(3, keepdims=True) * shares
    of_subjects = influence.sum(2, keepdims=True) / np.maximum(present.sum(1, keepdims=True), 1)
    rest = influence - of_trials - np.where(present, of_subjects, 0)
    # Rows and columns have taken their degrees of freedom.
    free = np.maximum(pairs - 1, 1) * max(subjects - 1, 1)
    return np.asarray(np.sqrt(pairs * subjects / free) * rest)

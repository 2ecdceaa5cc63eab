"""Intervals and p-values of estimates whose variance has parts, true far out in the tails.

The variance of a contrast has a part from few trials and a part from more subjects. One t
distribution for their sum, with Satterthwaite's degrees of freedom, errs in its tails: where the
few trials agree by chance, it takes the many subjects' degrees. That hardly matters to one 95 %
interval and ruins small p-values, which is what a correction for many tests looks at. Banerjee
(1960, Sankhyā 22:357–358) gives every part the t quantile of its own degrees: whatever independent
parts' true sizes, the interval then holds the truth as often as it says or more. p-values are its
inversion.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

_LEAST_LOG_P = -40.0
"""Where the search for a p-value ends; smaller ones are given as this."""
_HALVINGS = 60
"""Until the ends of the search differ by rounding only."""


def margin(tail: float | np.ndarray, variances: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return half the width of Banerjee's interval.

    Args:
        tail: Probability outside of it, on both sides together; a number or (C,).
        variances: (V, C) independent parts of the variance of each estimate.
        df: (V, C) degrees of freedom of each part; infinite where it is known.

    Returns:
        (C,) NaN where a part is.
    """
    quantiles = stats.t.isf(np.asarray(tail) / 2, df)
    return np.asarray(np.sqrt((quantiles**2 * variances).sum(0)))


def p_values(values: np.ndarray, variances: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the tails of the widest of these intervals that do not hold zero.

    Args:
        values: (C,) estimates.
        variances: As in `margin`.
        df: As in `margin`.

    Returns:
        (C,) two-sided p-values; NaN where a part of the variance is.
    """
    low, high = np.full(len(values), _LEAST_LOG_P), np.zeros(len(values))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        holds = margin(np.exp(middle), variances, df) >= np.abs(values)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return np.where(np.isnan(variances).any(0), np.nan, np.exp((low + high) / 2))

"""p-values corrected for the number of comparisons."""

from __future__ import annotations

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by the step-down method of Holm (1979, Scand J Stat 6:65–70).

    Args:
        p_values: (N,); NaN where there was no test, which counts as none and stays NaN.

    Returns:
        (N,) adjusted values: rejecting those below α errs in any of them with probability α at
        most, however they depend on each other.
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return adjusted

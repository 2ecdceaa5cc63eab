"""Intervals: of the mean curve, of a new run, and of the floor."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from scipy.stats import chi2
from scipy.stats import t as student

from medscale.laws.averaging import Average
from medscale.laws.families import FLOOR, LEVEL, Array
from medscale.laws.observations import Observations

_MISFIT = 0.3
"""By what share of the slope at N the law may be wrong one ln n before N."""

_CALIBRATION = 0.65
"""By what the standard deviation is multiplied: members share most of their doubts, so that the
sum of all is too wide. Chosen by coverage on synthetic curves, whose seeds `benchmarks/coverage.py`
does not use."""

_FLOOR_LOGITS = np.linspace(-6.0, 6.0, 25)


def foretell(seen: Observations, average: Average, x: Array) -> tuple[Array, Array]:
    """Return ln error of the mean curve, and its variance, at x = ln(n / N), both (K,).

    The variance is that within members (trials and misfit, through each fit), that between
    members, and a misfit that all share. Beyond N that is how far forecasts from smaller sizes of
    this very curve went wrong; before N, what was seen makes good for it.
    """
    values, within = average.foretell(x)
    law = average.weights @ values
    between = average.weights @ (values - law) ** 2
    variance = _CALIBRATION**2 * (average.weights @ within + between)
    shared = np.where(x > 0, average.misfit * x, _MISFIT * x**2)
    misfit = (average.slope * shared) ** 2
    observed = np.interp(x, average.rounds.x[0], seen.log_means)
    noise = np.interp(x, average.rounds.x[0], seen.variance)
    trust = np.where(x < 0, misfit / (misfit + noise), 0.0)
    centre = law + trust * (observed - law)
    return centre, (1 - trust) ** 2 * (variance + misfit) + trust**2 * noise


def trial_variance(seen: Observations, log_sizes: Array) -> Array:
    """Return the variance of one trial's ln error at any sizes; beyond the ends as at the ends."""
    return np.interp(log_sizes, seen.log_sizes, seen.trial_variance)


def quantile(seen: Observations, level: float) -> float:
    """Return how many standard deviations an interval reaches to each side."""
    return float(student.ppf((1 + level) / 2, seen.degrees))


def floor_interval(average: Average, level: float) -> tuple[float, float, float]:
    """Return the floor in the unit of the errors, with the ends of its profile interval.

    Each member is fitted again with its floor held at each of many shares of the error at N.
    A share is inside while the members' weighted relative likelihood is above the bound that
    χ² with one degree of freedom has; a member without a floor counts for share 0.
    """
    estimate, likelihood = 0.0, np.zeros(len(_FLOOR_LOGITS))
    for member, weight, profile in average.profiles(_FLOOR_LOGITS):
        if member.family.has_floor:
            estimate += weight * float(np.exp(member.theta[LEVEL]) * expit(member.theta[FLOOR]))
        likelihood += weight * profile
    likelihood /= likelihood.max()
    inside = np.flatnonzero(likelihood >= np.exp(-chi2.ppf(level, 1) / 2))
    error = average.error
    low = 0.0 if inside[0] == 0 else float(error * expit(_FLOOR_LOGITS[inside[0] - 1]))
    last = min(inside[-1] + 1, len(_FLOOR_LOGITS) - 1)
    high = float(error * expit(_FLOOR_LOGITS[last]))
    return estimate, min(low, estimate), max(high, estimate)

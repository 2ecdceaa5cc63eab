"""Errors that are the best so far of one run, and those of its checkpoints that they hide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr

from medscale.laws.families import SHIFTED_FLOOR, Array
from medscale.laws.fitting import prior

_REPEATS = 2
"""So many repeats, or more, are no accident."""

_FALL_IN_UNITS = 3.0
"""A repeat is no work of rounding where a fall of as many units, or more, ends it."""

_SAME = 1e-9
"""Errors closer than this share of the largest are equal."""

_SPACINGS = (1.0, 2.0, 4.0, 8.0, 16.0, np.inf)
"""How far checkpoints may lie apart, in the least distance of two sizes; ∞: one for each size."""

_LOG_ROOT = 0.5 * np.log(2 * np.pi)


class Hidden(NamedTuple):
    """What checkpoints had whose best so far is known.

    Attributes:
        log_errors: Expected mean of ln error over the checkpoints up to each size (K,).
        variance: Of ln error of one checkpoint.
    """

    log_errors: Array
    variance: float


def repeats(errors: Array) -> NDArray[np.bool_]:
    """Return at which sizes errors only repeat the best so far (K,); nowhere if they are no such.

    Errors that never rise are the best so far if they repeat exactly more than once, and not
    because they are rounded: then, the fall after a repeat is hardly more than the unit.

    Args:
        errors: One for each size, ascending in size (K,).
    """
    fall = -np.diff(errors)
    same = np.abs(fall) <= _SAME * errors.max()
    ended = np.zeros(len(fall), dtype=bool)
    if not (fall[~same] < 0).any():
        next_fall = 0.0
        for place in range(len(fall) - 1, -1, -1):
            if same[place]:
                ended[place] = next_fall >= _FALL_IN_UNITS * _unit(errors)
            else:
                next_fall = fall[place]
    found = ended.sum() >= _REPEATS
    return np.append(False, same & found)


def _unit(errors: Array) -> float:
    """Return the largest number of which all errors are multiples: their rounding, if they have."""
    least = _SAME * float(errors.max())
    unit = 0.0
    for error in errors:
        rest = float(error)
        while rest > least:
            unit, rest = rest, unit % rest
            if unit - rest <= least:
                rest = 0.0
    return unit


def uncover(
    sizes: Array, log_errors: Array, repeated: NDArray[np.bool_], variance: float
) -> Hidden:
    """Estimate what the checkpoints had.

    Their ln errors vary normally about a shifted power law with floor, f(n). Where the best so
    far fell to m, one of the k checkpoints since the last size had m and all others more; where it
    repeats, all k had more (a Tobit model, Tobin 1958). f and the variance are those of the
    greatest likelihood, in which a size counts in proportion to n, as the law is asked what comes
    after the largest. How many checkpoints there were is not known: the answers for several
    spacings are averaged by their likelihood.

    Args:
        sizes: Ascending (K,).
        log_errors: Of the best so far (K,).
        repeated: Where it only repeats (K,).
        variance: Of ln error about its neighbours, to begin with.
    """
    x, y = np.log(sizes / sizes[-1]), log_errors - log_errors[-1]
    weights = sizes / sizes[-1]
    slope = -float(np.polyfit(x, y, 1, w=weights)[0])
    mean, spread = prior(SHIFTED_FLOOR, np.array([slope]))
    mean = mean[0]

    def loss(parameters: Array, count: Array) -> tuple[float, Array]:
        theta, log_deviation = parameters[:-1], parameters[-1]
        value, gradient = SHIFTED_FLOOR.log_error(x[None], theta[None])
        deviation = np.exp(log_deviation)
        z = (y - value[0]) / deviation
        above = log_ndtr(-z)
        hazard = np.exp(-z * z / 2 - _LOG_ROOT - above)
        others = np.where(repeated, count, count - 1)
        own = np.where(repeated, 0.0, 1.0)
        likelihood = others * above + own * (np.log(count) - z * z / 2 - log_deviation)
        by_z = weights * (-others * hazard - own * z)
        from_prior = (theta - mean) / spread
        total = from_prior @ from_prior / 2 - weights @ likelihood
        by_theta = (by_z / deviation) @ gradient[0] + from_prior / spread
        return float(total), np.append(by_theta, by_z @ z + weights @ own)

    hidden, variances, likelihoods = [], [], []
    found = np.append(mean, np.log(variance) / 2)
    for spacing in reversed(_SPACINGS):
        gaps = np.diff(sizes)
        count = np.append(1.0, np.maximum(1, gaps / (gaps.min() * spacing)))
        best = minimize(loss, found, args=(count,), jac=True, method="L-BFGS-B")
        found = best.x
        value, _ = SHIFTED_FLOOR.log_error(x[None], found[None, :-1])
        deviation = np.exp(found[-1])
        z = (y - value[0]) / deviation
        more = value[0] + deviation * np.exp(-z * z / 2 - _LOG_ROOT - log_ndtr(-z))
        hidden.append(np.where(repeated, more, (y + (count - 1) * more) / count))
        variances.append(deviation**2)
        likelihoods.append(-best.fun)
    share = np.exp(np.array(likelihoods) - max(likelihoods))
    share /= share.sum()
    return Hidden(share @ np.array(hidden) + log_errors[-1], float(share @ np.array(variances)))

"""Errors that are the best so far of one run, and those of its checkpoints that they hide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr

from medscale.laws.families import SHIFTED_FLOOR, Array
from medscale.laws.fitting import prior
from medscale.laws.noise import CLOSE

_REPEATS = 2
"""So many repeats, or more, are no accident."""

_FALL_IN_UNITS = 3.0 * (1 - 1e-6)
"""A repeat is no work of rounding where a fall of as many units, or more, ends it."""

_SAME = 1e-9
"""Errors that differ by no more than this share of themselves are equal."""

_LEAST, _MOST = np.log(1e-5), np.log(3.0)
"""Bounds of the logarithm of the checkpoints' standard deviation, of ln error."""

_LOG_ROOT = 0.5 * np.log(2 * np.pi)


class Hidden(NamedTuple):
    """What checkpoints had whose best so far is known.

    Attributes:
        log_errors: Expected mean of ln error over the checkpoints since the size before (K,).
        doubt: Covariance of these, as nobody knows how many checkpoints there were (K, K).
        variance: Of ln error of one checkpoint.
    """

    log_errors: Array
    doubt: Array
    variance: float


def repeats(errors: Array) -> NDArray[np.bool_]:
    """Return at which sizes errors only repeat the best so far (K,); nowhere if they are no such.

    Errors that never rise are the best so far if they repeat exactly more than once, and not
    because they are rounded: then, the fall after a repeat is hardly more than the unit.

    Args:
        errors: One for each size, ascending in size (K,).
    """
    fall = -np.diff(errors)
    same = np.abs(fall) <= _SAME * errors[1:]
    least_fall = _FALL_IN_UNITS * _unit(errors)
    genuine, next_fall = 0, 0.0
    for repeated, step in zip(same[::-1], fall[::-1], strict=True):
        if repeated:
            genuine += next_fall >= least_fall
        else:
            next_fall = step
    rises = (fall[~same] < 0).any()
    return np.append(False, same & (genuine >= _REPEATS and not rises))


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


def dense(sizes: Array) -> bool:
    """Return whether sizes (K,) are so close that they are checkpoints of one run."""
    return bool(np.median(np.diff(np.log(sizes))) < CLOSE)


def uncover(
    sizes: Array, log_errors: Array, repeated: NDArray[np.bool_], variance: float
) -> Hidden:
    """Estimate what the checkpoints had.

    Their ln errors vary normally about a shifted power law with floor, f(n). Where the best so
    far fell to m, one of the k checkpoints since the last size had m and all others more; where it
    repeats, all k had more (a Tobit model, Tobin 1958). f and the variance are those of the
    greatest likelihood, with the usual prior of f, in which a size counts in proportion to n, as
    the law is asked what comes after the largest. How many checkpoints there were is not known:
    answers for even spacings, from the least distance of two sizes to the largest, and for one
    checkpoint at each size are averaged by what was maximised, and how they differ is a doubt.

    Args:
        sizes: Ascending (K,).
        log_errors: Of the best so far (K,).
        repeated: Where it only repeats (K,).
        variance: Of ln error about its neighbours, to begin with.
    """
    x, y = np.log(sizes / sizes[-1]), log_errors - log_errors[-1]
    weights = sizes / sizes[-1]
    slope = -float(np.polyfit(x, y, 1, w=np.sqrt(weights))[0])
    mean, spread = prior(SHIFTED_FLOOR, np.array([slope]))
    mean = mean[0]
    bounds = [(None, None)] * len(mean) + [(_LEAST, _MOST)]

    def loss(parameters: Array, count: Array) -> tuple[float, Array]:
        theta, log_deviation = parameters[:-1], parameters[-1]
        value, gradient = SHIFTED_FLOOR.log_error(x[None], theta[None])
        deviation = np.exp(log_deviation)
        z = (y - value[0]) / deviation
        above = log_ndtr(-z)
        hazard = _hazard(z)
        others = np.where(repeated, count, count - 1)
        own = np.where(repeated, 0.0, 1.0)
        likelihood = others * above + own * (np.log(count) - z * z / 2 - log_deviation)
        by_z = weights * (-others * hazard - own * z)
        from_prior = (theta - mean) / spread
        total = from_prior @ from_prior / 2 - weights @ likelihood
        by_theta = (by_z / deviation) @ gradient[0] + from_prior / spread
        return float(total), np.append(by_theta, by_z @ z + weights @ own)

    found = np.append(mean, np.clip(np.log(variance) / 2, _LEAST, _MOST))
    hidden, variances, scores = [], [], []
    for count in _counts(sizes):
        best = minimize(loss, found, args=(count,), jac=True, method="L-BFGS-B", bounds=bounds)
        found = best.x
        value, _ = SHIFTED_FLOOR.log_error(x[None], found[None, :-1])
        deviation = np.exp(found[-1])
        more = value[0] + deviation * _hazard((y - value[0]) / deviation)
        hidden.append(np.where(repeated, more, (y + (count - 1) * more) / count))
        variances.append(deviation**2)
        scores.append(-best.fun)
    share = np.exp(np.array(scores) - max(scores))
    share /= share.sum()
    average = share @ np.array(hidden)
    apart = np.array(hidden) - average
    return Hidden(
        average + log_errors[-1], (share * apart.T) @ apart, float(share @ np.array(variances))
    )


def _hazard(z: Array) -> Array:
    """Return the mean of standard normal deviates above z: φ / (1 − Φ)."""
    hazard: Array = np.exp(-z * z / 2 - _LOG_ROOT - log_ndtr(-z))
    return hazard


def _counts(sizes: Array) -> list[Array]:
    """Return numbers of checkpoints since the size before (K,), from one to the most there may be.

    What lay before the first size is not asked: it counts as one.
    """
    gaps = np.diff(sizes)
    octaves = np.arange(np.ceil(np.log2(gaps.max() / gaps.min())))[::-1]
    spacings = np.append(np.inf, gaps.min() * 2**octaves)
    return [np.append(1.0, np.maximum(1, gaps / spacing)) for spacing in spacings]

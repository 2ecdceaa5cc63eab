"""How much errors vary between trials, steadied by what all sizes have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TREND_DEGREES = 4.0
"""How many degrees of freedom the trend over sizes counts for, beside a size's own trials."""

_SLOPE_PRECISION = 4.0
"""Of a prior for the trend's slope, around 0; in ln variance per ln n."""

_USUAL_SCATTER, _USUAL_DEGREES = 0.005, 1.0
"""Standard deviation of ln error, and its weight, where single points leave it open."""

CLOSE = 0.34
"""Distance in ln n, just below half a doubling: closer sizes may be checkpoints of one run."""

_REACH = 0.5
"""Distance in ln n over which the errors of a curve are about the same error."""

_MEDIAN_OF_CHI2 = 0.455
_LEAST_VARIANCE = 1e-8


def shrunk_variance(log_sizes: Array, squares: Array, degrees: Array) -> tuple[Array, float]:
    """Return the variance of one trial at each size (K,), and the degrees of freedom behind it.

    Sizes with few trials lean on a log-linear trend over all sizes.

    Args:
        log_sizes: ln n (K,).
        squares: Sum of squared relative deviations from the mean of each size (K,).
        degrees: Trials less one, of each size (K,).
    """
    pooled = max(squares.sum() / degrees.sum(), _LEAST_VARIANCE)
    # Half a pseudo-trial keeps a lucky size, with no scatter at all, from having no variance.
    own = np.log((squares + 0.5 * pooled) / (degrees + 0.5))
    weights = degrees / degrees.sum()
    x = log_sizes - weights @ log_sizes
    centred = own - weights @ own
    half_degrees = degrees / 2
    slope = (half_degrees * x) @ centred / ((half_degrees * x) @ x + _SLOPE_PRECISION)
    trend = np.exp(slope * x)
    # The trend's level is such that all squares together are as large as seen.
    trend *= squares.sum() / max((degrees * trend).sum(), _LEAST_VARIANCE)
    shrunk = (squares + _TREND_DEGREES * trend) / (degrees + _TREND_DEGREES)
    return np.maximum(shrunk, _LEAST_VARIANCE), float(degrees.sum())


def common_correlation(
    place: NDArray[np.intp], relative: Array, labels: NDArray[np.generic]
) -> Array:
    """Return the correlation of the means of each two sizes, from replicates that they share.

    One number, the mean correlation over all pairs of sizes, is as much as a few trials tell;
    it counts in proportion to the replicates that two sizes share.

    Args:
        place: Which size each trial is of (T,).
        relative: Relative deviation from the mean of its size (T,).
        labels: Replicate of each trial (T,).

    Returns:
        Symmetric, ones on the diagonal (K, K).
    """
    sizes = int(place.max()) + 1
    names, replicate = np.unique(labels, return_inverse=True)
    trials = np.zeros((len(names), sizes))
    total = np.zeros_like(trials)
    np.add.at(trials, (replicate, place), 1)
    np.add.at(total, (replicate, place), relative)
    deviation = total / np.maximum(trials, 1)
    present = (trials > 0).astype(float)
    spread = np.sqrt((present * deviation**2).sum(0) / np.maximum(present.sum(0), 1))
    standard = deviation / np.where(spread > 0, spread, np.inf)
    shared = present.T @ present
    products = standard.T @ standard
    off = ~np.eye(sizes, dtype=bool)
    pairs = shared[off].sum()
    if pairs == 0:
        return np.eye(sizes)
    # As many pseudo-pairs without correlation as there are sizes keep it modest.
    common = np.clip(products[off].sum() / (pairs + 2 * sizes), 0.0, 0.95)
    share = shared / np.sqrt(np.outer(np.diag(shared), np.diag(shared)))
    return np.where(off, common * share, 1.0)


def scatter_about_neighbours(log_sizes: Array, log_errors: Array) -> tuple[float, float]:
    """Return variance of single points, and its degrees of freedom, without any curve.

    Each point is compared with the parabola through the three next to it; the median of the
    squares withstands the steps that real curves have.
    """
    prior = _USUAL_DEGREES * _USUAL_SCATTER**2
    count = len(log_sizes) - 3
    if count < 1:
        return _USUAL_SCATTER**2, _USUAL_DEGREES
    places = np.arange(count)[:, None] + np.arange(4)
    x = log_sizes[places]
    gaps = x[:, :, None] - x[:, None, :] + np.eye(4)
    contrast = 1 / gaps.prod(axis=2)
    contrast /= np.sqrt((contrast**2).sum(axis=1, keepdims=True))
    squares = (contrast * log_errors[places]).sum(axis=1) ** 2
    degrees = count / 2
    variance = (prior + degrees * np.median(squares) / _MEDIAN_OF_CHI2) / (_USUAL_DEGREES + degrees)
    return float(variance), _USUAL_DEGREES + degrees


def crowding(log_sizes: Array) -> Array:
    """Return how many sizes, itself included, say the same as each size (K,).

    Points of one training run wander together, and so does what a family gets wrong: a hundred
    checkpoints within one doubling are worth little more than one.
    """
    nearness: Array = np.exp(-np.abs(log_sizes[:, None] - log_sizes) / _REACH)
    crowd: Array = nearness.sum(axis=1)
    return crowd

"""All fits of one curve: to all sizes and to ever fewer, believing in more or less of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medscale.laws.families import FLOOR, Array, Family
from medscale.laws.fitting import BatchFit, fit_batch, prior
from medscale.laws.noise import crowding
from medscale.laws.observations import Observations


@dataclass(frozen=True)
class Reading:
    """How much of a curve a fit believes in.

    The variance of ln(mean error at n) is that of its trials plus (misfit · b · x²)², with
    x = ln(n / N) and b the slope at N: what lies far from the largest size N is pre-asymptotic,
    and no family is right about it.

    Attributes:
        name: Identifier.
        misfit: Share of the slope by which a family may be wrong at x = −1.
        looseness: By what the spreads of the prior are multiplied.
    """

    name: str
    misfit: float
    looseness: float


READINGS = (Reading("late points", 0.3, 1.0), Reading("whole curve", 0.03, 4.0))

_SLOPE_MISFIT = 0.3
_LEAST_SLOPE = 0.005
_SLOPE_ROUNDS = 4

_SPENT = 3
"""Sizes that level, slope and bend take up: an origin with no more foretells nothing."""

_FIRST_GAP, _GAP = 1.6, 1.4
"""The first origin lies at N / 1.6 or below, each next one lower by 1.4 or more."""

_LARGEST_ORIGINS = 6
_HORIZON = 2.2
"""Held-out sizes count up to this multiple of the origin, and at least the nearest one."""

_RECENCY = 0.5
"""Distance in ln n over which an older origin counts e times less."""

_DOUBLING = float(np.log(2))

_HELD = 1e-3
"""Spread of a parameter that is held where its prior has it."""


def origins(sizes: Array) -> list[int]:
    """Return how many sizes are fitted in each round: all of them, then ever fewer."""
    cuts, limit = [len(sizes)], sizes[-1] / _FIRST_GAP
    for count in range(len(sizes) - 1, _SPENT, -1):
        if sizes[count - 1] <= limit:
            cuts.append(count)
            limit = sizes[count - 1] / _GAP
        if len(cuts) > _LARGEST_ORIGINS:
            break
    return cuts


def late_slope(x: Array, y: Array, variance: Array, crowd: Array) -> float:
    """Return how fast ln error falls with ln n at the largest size.

    A straight line whose weights fall with the distance from the largest size.

    Args:
        x: ln(n / N), (K,).
        y: ln error (K,).
        variance: Of y (K,).
        crowd: How many sizes share each one's misfit (K,).
    """
    slope = 0.2
    for _ in range(_SLOPE_ROUNDS):
        weights = 1 / (variance + crowd * (_SLOPE_MISFIT * slope * x**2) ** 2)
        centred = x - np.average(x, weights=weights)
        slope = -float((weights * centred * y).sum() / (weights * centred**2).sum())
        slope = max(slope, _LEAST_SLOPE)
    return slope


def _credit(log_sizes: Array, cuts: list[int]) -> Array:
    """Return how much the misses from each origin say about those from N (M,).

    The origins nearest to N ask what is asked at N, from nearly as many sizes. Sizes closer than
    doublings are no more sizes for that, and origins closer than doublings hold out in part the
    same points.
    """
    fitted = np.array(cuts[1:], dtype=int)
    ends = log_sizes[fitted - 1]
    known = np.minimum(fitted, 1 + (ends - log_sizes[0]) / _DOUBLING)
    apart = np.minimum(1, -np.diff(ends, prepend=log_sizes[-1]) / _DOUBLING)
    late = np.exp((ends - ends[:1]) / _RECENCY)
    credit: Array = late * apart * np.maximum(1 - _SPENT / known, 0)
    return credit


class Rounds:
    """All rounds and readings of one curve, as rows of a batch.

    Rows come round by round, within each reading by reading; x and y are in the frame of the
    round's own largest size, and the weights of its held-out sizes are 0.

    Attributes:
        x: ln(n / the round's largest size), (B, K).
        y: ln error less that at the round's largest size (B, K).
        weights: Of each size in the fit (B, K).
        slopes: How fast ln error falls with ln n at each round's largest size (1 + M,).
        credit: How much the misses from each origin say about those from N (M,).
    """

    def __init__(self, seen: Observations) -> None:
        self._seen = seen
        x_rows, y_rows, weight_rows, slopes = [], [], [], []
        cuts = origins(seen.sizes)
        for cut in cuts:
            x = seen.log_sizes - seen.log_sizes[cut - 1]
            y = seen.log_means - seen.log_means[cut - 1]
            crowd = crowding(x[:cut])
            noise = seen.variance[:cut] * (crowd if seen.single else 1)
            slope = late_slope(x[:cut], y[:cut], noise, crowd)
            for reading in READINGS:
                misfit = reading.misfit * slope * x[:cut] ** 2
                weights = np.zeros(len(x))
                weights[:cut] = 1 / (noise + crowd * misfit**2)
                x_rows.append(x)
                y_rows.append(y)
                weight_rows.append(weights)
            slopes.append(slope)
        self.credit = _credit(seen.log_sizes, cuts)
        self.x, self.y = np.array(x_rows), np.array(y_rows)
        self.weights, self.slopes = np.array(weight_rows), np.array(slopes)

    def fit(self, family: Family) -> BatchFit:
        """Fit a family in all rounds and readings."""
        return fit_batch(family, self.x, self.y, self.weights, *self.prior(family))

    def prior(self, family: Family) -> tuple[Array, Array]:
        """Return means and spreads of a family's parameters before the fit, by row."""
        mean, spread = prior(family, np.repeat(self.slopes, len(READINGS)))
        looseness = np.tile([reading.looseness for reading in READINGS], len(self.slopes))
        return mean, spread * looseness[:, None]

    def squared_misses(self, family: Family, fitted: BatchFit) -> Array:
        """Return the mean squared error on what each round held out, by reading (M, R)."""
        later = slice(len(READINGS), None)
        foretold, _ = family.log_error(self.x[later], fitted.theta[later])
        squares = self._held_out_mean((foretold - self.y[later]) ** 2)
        return squares.reshape(-1, len(READINGS))

    def misfits(self, squares: Array) -> Array:
        """Return by which share of the slope at each origin a forecast missed, squared (M,).

        Noise of what was held out is no miss.

        Args:
            squares: Mean squared error on what each round held out (M,).
        """
        rows = self.x[len(READINGS) :]
        noise = self._held_out_mean(np.broadcast_to(self._seen.variance, rows.shape))
        fall = self._held_out_mean(rows**2)[:: len(READINGS)] * self.slopes[1:] ** 2
        shares: Array = np.maximum(squares - noise[:: len(READINGS)], 0) / fall
        return shares

    def _held_out_mean(self, values: Array) -> Array:
        """Return the mean of values over what each row of the later rounds foretells."""
        x, held_out = self.x[len(READINGS) :], self.weights[len(READINGS) :] == 0
        nearest = np.where(held_out, x, np.inf).min(axis=1, keepdims=True)
        judged = held_out & (x <= np.maximum(nearest, np.log(_HORIZON)))
        mean: Array = np.where(judged, values, 0.0).sum(1) / judged.sum(1)
        return mean

    def covariance(self, family: Family, fitted: BatchFit) -> Array:
        """Return the covariance of the parameters fitted to all sizes, by reading (R, P, P).

        That of independent sizes, plus what sizes with common replicates add to it, as far as
        first derivatives tell (a bootstrap over replicates, made linear).
        """
        first = slice(0, len(READINGS))
        independent = np.linalg.inv(fitted.hessian[first])
        _, gradient = family.log_error(self.x[first], fitted.theta[first])
        gain = independent @ np.swapaxes(gradient * self.weights[first, :, None], 1, 2)
        deviation = np.sqrt(self._seen.variance)
        common = self._seen.correlation * np.outer(deviation, deviation)
        np.fill_diagonal(common, 0)
        shared: Array = gain @ common @ np.swapaxes(gain, 1, 2)
        return independent + shared

    def profile(self, family: Family, logits: Array) -> Array:
        """Return the relative likelihood of floors, fitted to all sizes, by reading (R, L).

        For a family without a floor it is 1 at the first (the lowest) and 0 elsewhere.
        """
        readings, floors = len(READINGS), len(logits)
        if not family.has_floor:
            return np.tile(np.arange(floors) == 0, (readings, 1)).astype(float)

        def rows(array: Array) -> Array:
            return np.repeat(array[:readings], floors, axis=0)

        mean, spread = self.prior(family)
        mean, spread = rows(mean), rows(spread)
        mean[:, FLOOR], spread[:, FLOOR] = np.tile(logits, readings), _HELD
        fits = fit_batch(family, rows(self.x), rows(self.y), rows(self.weights), mean, spread)
        objective = fits.objective.reshape(readings, floors)
        likelihood: Array = np.exp((objective.min(1, keepdims=True) - objective) / 2)
        return likelihood

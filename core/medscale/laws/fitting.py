"""Least squares of many curves at once: Levenberg–Marquardt over a batch, from fixed starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medscale.laws.families import FLOOR, LEVEL, SLOPE, Array, Family

FLOOR_LOGIT = (0.35, 1.2)
"""Mean and spread of logit φ before any data: a floor of 59 % (12 to 94 %) of the last error."""

SLOPE_SPREAD = 0.5
"""Spread of ln b around the slope that the late points show."""

LEVEL_SPREAD = 1.0
_STARTS = (-0.8, 0.0, 0.8)
"""Where fits begin, in spreads of the prior: floor this way, slope and shape that way."""

_ITERATIONS = 60
_TOLERANCE = 1e-8
_LARGEST_STEP = 3.0


@dataclass(frozen=True)
class BatchFit:
    """The best fit of each curve of a batch.

    Attributes:
        theta: Parameters (B, P).
        objective: Weighted squares plus prior, at theta (B,).
        hessian: Gauss–Newton matrix, prior included (B, P, P).
    """

    theta: Array
    objective: Array
    hessian: Array


def prior(family: Family, slope: Array) -> tuple[Array, Array]:
    """Return means (B, P) and spreads (P,) of a family's parameters before the fit.

    Weak, but it keeps what the data do not tell (a floor seen from far, the place of a break)
    from running away, so that every family has an answer at any number of sizes.

    Args:
        family: The family.
        slope: Local slopes at the largest size (B,).
    """
    mean = np.zeros((len(slope), family.parameter_count))
    spread = np.empty(family.parameter_count)
    spread[LEVEL], spread[SLOPE] = LEVEL_SPREAD, SLOPE_SPREAD
    mean[:, SLOPE] = np.log(slope)
    if family.has_floor:
        mean[:, FLOOR], spread[FLOOR] = FLOOR_LOGIT
    for place, parameter in enumerate(family.shape, start=2 + family.has_floor):
        mean[:, place], spread[place] = parameter.centre, parameter.spread
    return mean, spread


def fit_batch(
    family: Family, x: Array, y: Array, weights: Array, mean: Array, spread: Array
) -> BatchFit:
    """Minimise Σ w (f − y)² + Σ ((θ − mean) / spread)² for each curve of a batch.

    Args:
        family: The family.
        x: ln(n / N), (B, K).
        y: ln error less that at N, (B, K).
        weights: One over variance; 0 leaves a point out, (B, K).
        mean: Prior means (B, P).
        spread: Prior spreads, (P,) or (B, P).

    Returns:
        The best of a few fixed starts, so that the same data always give the same fit.
    """
    count, starts = len(x), len(_STARTS) if family.has_floor else 1
    spread = np.broadcast_to(spread, mean.shape)
    offsets = np.zeros((starts, family.parameter_count))
    if family.has_floor:
        offsets[:, FLOOR] = _STARTS
        offsets[:, SLOPE] = [-start / 2 for start in _STARTS]
        offsets[:, 3:] = [[-start] for start in _STARTS]

    def repeated(array: Array) -> Array:
        return np.repeat(array, starts, axis=0)

    begin = repeated(mean) + np.tile(offsets, (count, 1)) * repeated(spread)
    fits = _descend(
        family,
        repeated(x),
        repeated(y),
        repeated(weights),
        begin,
        repeated(mean),
        repeated(spread),
    )
    best = fits.objective.reshape(count, starts).argmin(axis=1) + np.arange(count) * starts
    return BatchFit(fits.theta[best], fits.objective[best], fits.hessian[best])


def _descend(
    family: Family, x: Array, y: Array, weights: Array, theta: Array, mean: Array, spread: Array
) -> BatchFit:
    precision = spread**-2
    diagonal = np.arange(theta.shape[1])
    damping = np.full(len(theta), 1e-2)

    def evaluate(at: Array) -> tuple[Array, Array, Array]:
        value, gradient = family.log_error(x, at)
        residual = y - value
        squares = (weights * residual**2).sum(1) + (precision * (at - mean) ** 2).sum(1)
        return residual, gradient, np.where(np.isfinite(squares), squares, np.inf)

    residual, gradient, objective = evaluate(theta)
    hessian = _normal_matrix(gradient, weights, precision)
    for _ in range(_ITERATIONS):
        downhill = np.einsum("bkp,bk->bp", gradient, weights * residual)
        downhill -= precision * (theta - mean)
        damped = hessian.copy()
        damped[:, diagonal, diagonal] *= 1 + damping[:, None]
        step = np.linalg.solve(damped, downhill[..., None])[..., 0]
        candidate = theta + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        new_residual, new_gradient, new_objective = evaluate(candidate)
        better = new_objective <= objective
        settled = better & (objective - new_objective <= _TOLERANCE * (1 + objective))
        theta = np.where(better[:, None], candidate, theta)
        residual = np.where(better[:, None], new_residual, residual)
        gradient = np.where(better[:, None, None], new_gradient, gradient)
        objective = np.where(better, new_objective, objective)
        damping = np.where(better, np.maximum(damping / 5, 1e-9), np.minimum(damping * 6, 1e9))
        hessian = _normal_matrix(gradient, weights, precision)
        if np.all(settled | (damping >= 1e9)):
            break
    return BatchFit(theta, objective, hessian)


def _normal_matrix(gradient: Array, weights: Array, precision: Array) -> Array:
    matrix: Array = np.swapaxes(gradient * weights[..., None], 1, 2) @ gradient
    diagonal = np.arange(matrix.shape[1])
    matrix[:, diagonal, diagonal] += precision
    return matrix

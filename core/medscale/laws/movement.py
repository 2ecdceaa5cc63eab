"""Which parameters of the law an arm moves: the factor A, the exponent α or the floor.

Both arms' mean errors follow A · n^−α + floor. For a given α that is linear in A and the floor, so
the fit is exact on a grid of α: no start, no luck. Intervals come from refitting means that are
drawn together for both arms, as the crossed variation of `medscale.laws.crossed` has them.

Where errors follow another law, the parameters move in ways that mean nothing: an arm whose images
count for more raises the exponent of an exponential plateau, which has none. Means that are drawn
around the fitted laws show how badly these fit when they are true, and curves that they fit worse
identify no parameter. Few trials refute hardly any law, so what is said of parameters stays
conditional on this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from medscale.laws.crossed import LogMeans
from medscale.seeding import numpy_generator

PARAMETERS = ("factor", "exponent", "floor")
LEAST_SIZES = 4
"""One more than a curve has parameters."""
_LEAST_PAIRS = 3
"""Two draw from a distribution without a mean."""
_EXPONENTS = np.geomspace(0.02, 4, 41)
_FINER = np.geomspace(0.87, 1 / 0.87, 57)
"""Factors by which the best exponent is refined: a step of the grid to either side."""
_DRAWS = 2000
"""Their least p-value, 2 / (_DRAWS + 1), passes 0.05 after Holm for up to fifty parameters."""
_SOLVABLE = 1e-12
"""Least determinant of the normal equations, relative to their diagonal."""
_TIE = 1e-12
"""Two curves are the same where letting every parameter differ gains no more than this."""


@dataclass(frozen=True)
class Movement:
    """How an arm changes one parameter.

    Attributes:
        parameter: "factor" (A, the error that one image leaves beyond the floor), "exponent" (α) or
            "floor".
        baseline_value: Its value without the arm; NaN where there are too few sizes.
        arm_value: Its value with the arm.
        difference: The arm's value less the baseline's.
        low: Lower end of the interval of the difference; NaN where there are too few sizes or
            fewer than three trials.
        high: Upper end.
        p: p-value of no difference; NaN where there is no interval.
        law_p: p-value of both curves following the law; the same for every parameter, and NaN where
            there is no interval.
        alone: Share of the arm's change of the curve that this parameter explains when the two
            others stay as they are, in [0, 1].
        identified: Whether the law may be true, with a p-value above one minus the level, and the
            interval is narrower than the parameter itself, the floor's than the least mean error.
    """

    parameter: str
    baseline_value: float
    arm_value: float
    difference: float
    low: float
    high: float
    p: float
    law_p: float
    alone: float
    identified: bool


def movements(curves: LogMeans, sizes: np.ndarray, level: float) -> list[Movement]:
    """Return how the arm moves each parameter.

    Args:
        curves: Log mean errors of both arms at these sizes.
        sizes: (K,) ascending.
        level: Of the intervals of the differences.
    """
    if len(sizes) < LEAST_SIZES:
        nan = np.nan
        return [
            Movement(name, nan, nan, nan, nan, nan, nan, nan, nan, identified=False)
            for name in PARAMETERS
        ]
    logs = np.split(curves.values, 2)
    baseline, arm = (_fit(log[None], sizes)[0] for log in logs)
    alone = _alone(logs, sizes)
    low = high = p = np.full(3, np.nan)
    law_p = np.nan
    if curves.pairs.min() >= _LEAST_PAIRS:
        deviations = np.split(_deviations(curves), 2, axis=1)
        drawn = [_fit(log + part, sizes) for log, part in zip(logs, deviations, strict=True)]
        changes = drawn[1] - drawn[0]
        low, high = np.quantile(changes, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        p = np.minimum(2 * _share(np.minimum((changes <= 0).sum(0), (changes >= 0).sum(0))), 1)
        law_p = _law_p(logs, deviations, sizes)
    scale = np.array([*baseline[:2], np.exp(curves.values.min())])
    return [
        Movement(
            parameter=name,
            baseline_value=float(baseline[index]),
            arm_value=float(arm[index]),
            difference=float(arm[index] - baseline[index]),
            low=float(low[index]),
            high=float(high[index]),
            p=float(p[index]),
            law_p=float(law_p),
            alone=float(alone[index]),
            identified=bool(law_p > 1 - level and high[index] - low[index] < scale[index]),
        )
        for index, name in enumerate(PARAMETERS)
    ]


def _deviations(curves: LogMeans) -> np.ndarray:
    """Return (B, P) by how much the log means of other subsets and subjects might differ."""
    generator = numpy_generator(0, "comparison", "movement")
    df = curves.pairs.min() - 1
    values, vectors = np.linalg.eigh(curves.covariance())
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = generator.standard_normal((_DRAWS, len(values))) @ root.T
    # Few trials say little about their own spread: Student's t instead of the normal.
    return np.asarray(normal * np.sqrt(df / generator.chisquare(df, (_DRAWS, 1))))


def _share(count: np.ndarray) -> np.ndarray:
    """Return the share of draws, the data themselves counting as one."""
    return (1 + count) / (1 + _DRAWS)


def _law_p(logs: list[np.ndarray], deviations: list[np.ndarray], sizes: np.ndarray) -> float:
    """Return the p-value of both curves following the law, by drawing around their fitted laws.

    Args:
        logs: Log mean errors of both arms, each (K,).
        deviations: Of both arms, each (B, K).
        sizes: (K,) ascending.
    """
    seen, drawn = np.zeros(1), np.zeros(_DRAWS)
    for log, part in zip(logs, deviations, strict=True):
        law = _fit(log[None], sizes)
        around = np.log(_errors(law, sizes)) + part
        seen += _misfit(log[None], law, sizes)
        drawn += _misfit(around, _fit(around, sizes), sizes)
    return float(_share((drawn >= seen).sum()))


def _errors(laws: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (B, K) errors of laws (B, 3)."""
    factor, exponent, floor = laws.T[..., None]
    return np.asarray(factor * sizes**-exponent + floor)


def _misfit(logs: np.ndarray, laws: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (B,) sums of squared relative residuals, which is what a fit makes least."""
    return np.asarray(((1 - _errors(laws, sizes) * np.exp(-logs)) ** 2).sum(1))


def _fit(logs: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (B, 3) factor, exponent and floor of curves.

    Args:
        logs: (B, K) log mean errors.
        sizes: (K,) ascending.
    """
    coarse = np.broadcast_to(_EXPONENTS, (len(logs), len(_EXPONENTS)))
    near = _best(logs, sizes, coarse)[:, 1]
    return _best(logs, sizes, near[:, None] * _FINER)


def _best(logs: np.ndarray, sizes: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return (B, 3) factor, exponent and floor of the best of (B, G) exponents for each curve."""
    basis = sizes ** -exponents[..., None]
    # Relative residuals, which are those of the logs to first order: rows are f(n) / error.
    unit = np.exp(logs.max(1))[:, None]
    inverse = unit * np.exp(-logs)
    slope = np.einsum("bk,bgk->bg", inverse, basis)
    slope2 = np.einsum("bk,bgk->bg", inverse**2, basis**2)
    cross = np.einsum("bk,bgk->bg", inverse**2, basis)
    level = inverse.sum(1)[:, None]
    level2 = (inverse**2).sum(1)[:, None]
    determinant = slope2 * level2 - cross**2
    # Where one size outweighs all others, it says nothing about a floor.
    solvable = determinant > _SOLVABLE * slope2 * level2
    determinant = np.where(solvable, determinant, 1)
    floor = (slope2 * level - cross * slope) / determinant
    factor = (level2 * slope - cross * level) / determinant
    # At a boundary the best fit has no floor, or nothing but a floor.
    bare = (floor < 0) | ~solvable
    factor, floor = np.where(bare, slope / slope2, factor), np.where(bare, 0, floor)
    flat = factor < 0
    factor, floor = np.where(flat, 0, factor), np.where(flat, level / level2, floor)
    misfit = -factor * slope - floor * level
    best = misfit.argmin(1)[:, None]
    found = [unit * factor, exponents, unit * floor]
    return np.concatenate([np.take_along_axis(part, best, axis=1) for part in found], axis=1)


def _alone(logs: list[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Return (3,) share of the change between the arms that each parameter explains alone.

    Args:
        logs: Log mean errors of both arms, each (K,).
        sizes: (K,) ascending.
    """
    # Columns of designs whose rows are the sizes of one arm and then of the other; a column that
    # an arm does not share is zero in the other's rows.
    baseline, arm = (np.kron(side, np.exp(-log)) for side, log in zip(np.eye(2), logs, strict=True))
    level = baseline + arm
    powers = np.tile(sizes, 2) ** -_EXPONENTS[:, None]
    same = _least([power * level, level] for power in powers)
    factor = _least([power * baseline, power * arm, level] for power in powers)
    floor = _least([power * level, baseline, arm] for power in powers)
    exponent = _least([one * baseline + other * arm, level] for one in powers for other in powers)
    # An arm's own fit leaves the other's rows at zero, each a residual of one.
    every = sum(_least([power * side, side] for power in powers) for side in (baseline, arm))
    every -= len(level)
    if same - every < _TIE:
        return np.full(3, np.nan)
    shares = (same - np.array([factor, exponent, floor])) / (same - every)
    return np.asarray(np.clip(shares, 0, 1))


def _least(designs: Iterable[list[np.ndarray]]) -> float:
    """Return the least sum of squared residuals from one over designs, parameters not negative.

    Args:
        designs: Each a list of columns.
    """
    return min(
        optimize.nnls(np.stack(columns, axis=1), np.ones(len(columns[0])))[1] ** 2
        for columns in designs
    )

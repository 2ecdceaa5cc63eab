"""The data-efficiency multiplier: n images with an arm are worth m · n images without it.

Within the sizes that were run, the baseline's curve is its log mean errors made non-increasing
(pool adjacent violators) and joined by straight lines on log-log axes. Beyond the largest size it
goes on as the fitted law says, from where the curve ends and as far as the fit is trusted. The
interval holds every m at which the two log errors are not told apart, with all covariances that the
pairing brings; an end that the data do not bound is open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import optimize, stats

from medscale.errors import MedscaleError
from medscale.laws import Fit, fit
from medscale.laws.crossed import LogMeans
from medscale.laws.inversion import Crossing, crossing
from medscale.laws.pairing import TRIAL

_STEPS = 400
"""Points of the grid on which the multiplier is sought, refined by interpolation between them."""
_BEYOND = 1 + 1e-9
"""A size is beyond another if it is larger by more than rounding."""


@dataclass(frozen=True)
class Multiplier:
    """What n images with the arm are worth without it.

    Attributes:
        size: n.
        multiplier: m, or the nearest that the baseline's curve allows to say.
        low: Lower end of the interval, zero where open, NaN where there is one trial only.
        high: Upper end, infinite where open.
        bound: "" for an estimate, ">=" or "<=" where `multiplier` is only a bound.
        extrapolated: Whether m · n lies beyond the sizes that were run.
    """

    size: int
    multiplier: float
    low: float
    high: float
    bound: str
    extrapolated: bool


def law_of(rows: pd.DataFrame) -> Fit | str:
    """Return the law of an arm, or why there is none.

    Args:
        rows: Columns size, split, replicate and error: a row per test case.
    """
    means = rows.groupby(TRIAL)["error"].mean().reset_index()
    replicates = means.groupby(["split", "replicate"]).ngroup()
    try:
        return fit(means["size"], means["error"], replicates=replicates)
    except MedscaleError as error:
        return str(error)


def multipliers(
    curves: LogMeans, sizes: np.ndarray, law: Fit | None, level: float
) -> list[Multiplier]:
    """Return the multiplier at every size.

    Args:
        curves: Log mean errors of both arms at these sizes.
        sizes: (K,) ascending.
        law: Of the baseline; without one nothing is said beyond the largest size.
        level: Of the intervals.
    """
    reach = law.trusted_factor if law else 1.0
    images = np.union1d(np.geomspace(sizes[0], sizes[-1] * reach, _STEPS), sizes)
    smooth, smooth_arm = (_averaging(part) for part in np.split(curves.values, 2))
    baseline = _joining(sizes, images) @ smooth
    fall, variance = _beyond(law, sizes[-1], images)
    found = []
    for size, own in zip(sizes, smooth_arm, strict=True):
        weights = np.hstack([-baseline, np.broadcast_to(own, baseline.shape)])
        excess = curves.contrasts(weights).plus(fall, variance)
        meeting = crossing(
            np.log(images / size), excess.values, excess.margin(level), preferred=0.0
        )
        found.append(
            Multiplier(
                size=int(size),
                multiplier=math.exp(meeting.place),
                low=float(np.exp(meeting.low)),
                high=float(np.exp(meeting.high)),
                bound=meeting.bound,
                extrapolated=math.exp(meeting.place) * size > sizes[-1] * _BEYOND,
            )
        )
    return found


def common_multiplier(curves: LogMeans, sizes: np.ndarray, level: float) -> Crossing:
    """Return the one multiplier that makes up for the arm on average over the sizes, in logs.

    For each multiplier tried, the log errors of the arm at n and of the baseline at m · n are
    averaged over the sizes n for which m · n lies within the sizes that were run; those
    multipliers count for which that is half of the sizes at least. No law is used.

    Args:
        curves: Log mean errors of both arms at these sizes.
        sizes: (K,) ascending.
        level: Of the interval.
    """
    widest = sizes[-1] / sizes[0]
    tried = np.union1d(np.geomspace(1 / widest, widest, _STEPS), 1.0)
    smooth, smooth_arm = (_averaging(part) for part in np.split(curves.values, 2))
    images = tried[:, None] * sizes
    within = (images >= sizes[0] / _BEYOND) & (images <= sizes[-1] * _BEYOND)
    enough = 2 * within.sum(1) >= len(sizes)
    tried, images, within = tried[enough], images[enough], within[enough]
    shares = within / within.sum(1, keepdims=True)
    baseline = sum(
        share[:, None] * (_joining(sizes, column) @ smooth)
        for share, column in zip(shares.T, images.T, strict=True)
    )
    excess = curves.contrasts(np.hstack([-baseline, shares @ smooth_arm]))
    return crossing(np.log(tried), excess.values, excess.margin(level), preferred=0.0)


def _averaging(values: np.ndarray) -> np.ndarray:
    """Return the (K, K) matrix that makes the values non-increasing by averaging neighbours."""
    blocks = optimize.isotonic_regression(values, increasing=False).blocks
    matrix = np.zeros((len(values), len(values)))
    for start, end in pairwise(blocks):
        matrix[start:end, start:end] = 1 / (end - start)
    return matrix


def _joining(sizes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the (X, K) weights of interpolation in log size; beyond the ends, of the end."""
    logs, places = np.log(sizes), np.log(grid)
    return np.stack([np.interp(places, logs, unit) for unit in np.eye(len(sizes))], axis=1)


def _beyond(law: Fit | None, largest: float, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the law falls from the largest size on, and the variance of that."""
    if law is None:
        return np.zeros(len(grid)), np.zeros(len(grid))
    places = np.maximum(grid, largest)
    predicted = np.minimum.accumulate(np.log(law.predict(places)))
    low, high = law.interval(places, level=0.9, kind="mean")
    deviation = (np.log(high) - np.log(low)) / (2 * stats.norm.ppf(0.95))
    # The curve's end is a mean that was seen; the law adds what it knows less from there on.
    return predicted[0] - predicted, np.maximum(deviation**2 - deviation[0] ** 2, 0)

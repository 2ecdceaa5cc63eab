"""What is odd about a curve's trials, in sentences; the worst of it is refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from medscale.errors import DataError
from medscale.laws.noise import CLOSE

Array = NDArray[np.float64]

_FEW_SIZES = 5
_RISING = 0.975
"""How sure it must be that the error rises before a curve is refused, or trusted no farther."""

_NOTABLE_RISE = float(np.log(1.05))
"""A smaller rise of ln error is no matter, however sure it is."""

_SAME = 1e-9


def oddities(sizes: Array, means: Array, variance: Array) -> tuple[str, ...]:
    """Return warnings about a curve as a whole.

    Args:
        sizes: Ascending (K,).
        means: Mean error at each size (K,).
        variance: Of ln means (K,).

    Raises:
        DataError: If the error surely rises with the size.
    """
    warnings = []
    if np.ptp(np.log(means)) < _SAME:
        warnings.append(
            f"the mean error is {means[0]:.3g} at all {len(sizes)} sizes, expected one that falls; "
            "see whether the trials differ in anything but their size"
        )
    else:
        warnings += _not_falling(sizes, means, variance)
    if len(sizes) < _FEW_SIZES:
        warnings.append(
            f"{len(sizes)} sizes say little about how the curve bends; expected {_FEW_SIZES} or "
            "more"
        )
    return tuple(warnings)


def _not_falling(sizes: Array, means: Array, variance: Array) -> tuple[str, ...]:
    x, y = np.log(sizes), np.log(means)
    weights = 1 / variance
    x = x - np.average(x, weights=weights)
    slope = (weights * x * y).sum() / (weights * x * x).sum()
    # Scatter beyond the trials' own counts too: a curve need not be straight.
    residual = y - np.average(y, weights=weights) - slope * x
    excess = max(1.0, (weights * residual**2).sum() / max(1, len(x) - 2))
    error = np.sqrt(excess / (weights * x * x).sum())
    if slope <= 0:
        return ()
    text = f"the error does not fall: {means[0]:.3g} at n = {sizes[0]:g}, {means[-1]:.3g} at "
    text += f"n = {sizes[-1]:g}; if these are scores, give 1 − score"
    if slope > error * student.ppf(_RISING, max(1, len(x) - 2)):
        raise DataError(text)
    return (text,)


def late_rise(
    sizes: Array, means: Array, variance: Array, correlation: Array, degrees: float
) -> tuple[str, ...]:
    """Return a warning if the last mean lies above an earlier one by more than noise explains.

    It is compared with the least of the earlier means, which chance makes too low, so that this
    takes as much as one comparison with each of them would (Bonferroni). Two rises in a row at the
    end, which noise about a falling curve rarely makes, take as much as one comparison: the
    scatter of single trials, with few degrees of freedom, would show nothing otherwise.

    Args:
        sizes: Ascending (K,).
        means: Mean error at each size (K,).
        variance: Of ln means (K,).
        correlation: Of ln means (K, K).
        degrees: Degrees of freedom that the variances rest on.
    """
    y, deviation = np.log(means), np.sqrt(variance)
    least = int(np.argmin(y[:-1]))
    rise = y[-1] - y[least]
    common = correlation[least, -1] * deviation[least] * deviation[-1]
    error = np.sqrt(variance[least] + variance[-1] - 2 * common)
    comparisons = 1 if len(y) > 2 and (np.diff(y[-3:]) > 0).all() else len(y) - 1
    bound = student.ppf(1 - (1 - _RISING) / comparisons, degrees)
    if rise <= max(_NOTABLE_RISE, bound * error):
        return ()
    return (
        f"the error rises over the last sizes, from {means[least]:.3g} at n = {sizes[least]:g} to "
        f"{means[-1]:.3g} at n = {sizes[-1]:g}, more than noise explains; every law falls, so none "
        f"is trusted beyond n = {sizes[-1]:g}: see what went wrong in these trials",
    )


def together(sizes: Array) -> Array:
    """Return how many sizes, itself included, wander with each size of one training run (K,).

    What near checkpoints show of their scatter is too little of it, and their least is too low.
    """
    x = np.log(sizes)
    crowd: Array = (np.abs(x[:, None] - x) < CLOSE).sum(axis=1).astype(float)
    return crowd


def best_so_far(sizes: Array, means: Array, repeated: int, hidden: float | None) -> tuple[str, ...]:
    """Return a warning if errors are the best so far, and what the law is of then.

    Args:
        sizes: Ascending (K,).
        means: As given (K,).
        repeated: At how many sizes an error only repeats the one before.
        hidden: What checkpoints have at the largest size, if the law is of them.
    """
    if not repeated:
        return ()
    law = "if so, they are better than a training of that size is, and so is the law"
    if hidden is not None:
        law = (
            f"the law is of its checkpoints, about {hidden:.3g} at n = {sizes[-1]:g} where the "
            f"best is {means[-1]:.3g}"
        )
    return (
        f"the error never rises and repeats at {repeated} of {len(sizes)} sizes, as the best so "
        f"far of one run does; {law}: give each error itself if you have it",
    )


def zeros(sizes: Array, perfect: NDArray[np.intp], counts: NDArray[np.intp]) -> tuple[str, ...]:
    """Return a warning for each size where some trials have no error at all.

    Args:
        sizes: Ascending (K,).
        perfect: Trials of each size whose error is exactly 0 (K,).
        counts: Trials of each size (K,).
    """
    return tuple(
        f"{few} of {count} trials at n = {size:g} have an error of exactly 0, and count as such in "
        "the mean; see that their errors are neither rounded nor absent"
        for size, few, count in zip(sizes, perfect, counts, strict=True)
        if few
    )


def unscored(missing: int, expected: int) -> tuple[str, ...]:
    """Return a warning if scores of trials on test cases are missing."""
    if not missing:
        return ()
    return (
        f"{missing} of {expected} case scores are missing and left out; a size's mean is over the "
        "others",
    )

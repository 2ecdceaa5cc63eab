"""Intervals: of the mean curve, of a new run, of the slope at the end, of the floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import chi2
from scipy.stats import t as student

from medscale.laws.averaging import Average, Member
from medscale.laws.families import FLOOR, LEVEL, SLOPE, Array
from medscale.laws.observations import Observations
from medscale.laws.rounds import READINGS

_MISFIT = 0.3
"""By what share of the slope at N the law may be wrong one ln n before N."""

_TESTED_SHARE, _TESTS = 0.55, 0.3
"""To what share doubts fall where many origins have tested the members, and after how many tests
1 / e of the way is left. Members share most of their doubts, and what is left after tests is less
than the sum of all. Chosen by coverage on synthetic curves, with seeds of their own."""

_FLOOR_LOGITS = np.linspace(-6.0, 6.0, 25)


class Foretold(NamedTuple):
    """The mean curve at K sizes.

    Attributes:
        log_error: Its logarithm (K,).
        variance: Of that, over other trials and laws, these test subjects being given (K,).
        case_variance: What other test subjects would add to it (K,).
    """

    log_error: Array
    variance: Array
    case_variance: Array


def foretell(seen: Observations, average: Average, x: Array) -> Foretold:
    """Foretell the mean curve at x = ln(n / N), (K,).

    The variance is that within members (trials and misfit, through each fit), that between
    members, and a misfit that all share. Beyond N that is how far forecasts from smaller sizes of
    this very curve went wrong; before N, what was seen makes good for it. Below the smallest size
    the law goes on from what was seen there, and the misfit grows. Test subjects move all log means
    together, and the curve with them; so does what is not known of checkpoints.
    """
    values, within = average.foretell(x)
    law = average.weights @ values
    within_sizes = np.maximum(x, average.rounds.x[0, 0])
    law_there = average.weights @ average.foretell(within_sizes)[0]
    between = average.weights @ (values - law) ** 2
    # Along one training run points err together, and no origin is a test of its own.
    untested = 1.0 if seen.single else np.exp(-average.tested / _TESTS)
    # Tests are about a doubling; what is unsure at N itself is noise.
    ahead = np.clip(x / np.log(2), 0, 1)
    left = 1 - ahead * (1 - _TESTED_SHARE) * (1 - untested)
    variance = left**2 * (average.weights @ within + between)
    shared = np.where(x > 0, average.misfit * x, _MISFIT * within_sizes**2)
    misfit = (average.slope * shared) ** 2
    unseen = (average.slope * _MISFIT * (x**2 - within_sizes**2)) ** 2
    seen_at_x = np.stack(
        [np.interp(x, average.rounds.x[0], own) for own in np.eye(len(seen.sizes))]
    )
    observed, noise = seen.log_means @ seen_at_x, seen.variance @ seen_at_x
    trust = np.where(x < 0, misfit / (misfit + noise), 0.0)
    moves = (1 - trust) * _moves(average, x) + trust * seen_at_x
    return Foretold(
        law + trust * (observed - law_there),
        (1 - trust) ** 2 * (variance + misfit)
        + trust**2 * noise
        + unseen
        + (moves * (seen.doubt @ moves)).sum(0),
        (moves * (seen.case_covariance @ moves)).sum(0),
    )


def _moves(average: Average, x: Array) -> Array:
    """Return by how much each log mean that was seen moves the law at x, (sizes seen, K)."""
    moves = np.zeros((average.rounds.x.shape[1], len(x)))
    for member, weight, gain in _gains(average):
        _, gradient = member.family.log_error(x[None], member.theta[None])
        moves += weight * (gradient[0] @ gain).T
    return moves


def _gains(average: Average) -> Iterator[tuple[Member, float, Array]]:
    """Yield each member, its weight, and by how much log means move its parameters (P, sizes).

    To first order: a bootstrap of what moves the means, made linear.
    """
    rounds = average.rounds
    for member, weight in zip(average.members, average.weights, strict=True):
        row = READINGS.index(member.reading)
        _, spread = rounds.prior(member.family)
        _, gradient = member.family.log_error(rounds.x[row : row + 1], member.theta[None])
        weighted = gradient[0].T * rounds.weights[row]
        hessian = weighted @ gradient[0] + np.diag(spread[row] ** -2)
        yield member, float(weight), np.linalg.solve(hessian, weighted)


def trial_variance(seen: Observations, log_sizes: Array) -> Array:
    """Return the variance of one trial's ln error at any sizes; beyond the ends as at the ends."""
    return np.interp(log_sizes, seen.log_sizes, seen.trial_variance)


def half_width(seen: Observations, variance: Array, case_variance: Array, level: float) -> Array:
    """Return how far an interval of ln error reaches to each side.

    Student's t with Satterthwaite's degrees of freedom: those of the trials and of the subjects.

    Args:
        seen: What the law was fitted to.
        variance: Over trials and laws.
        case_variance: Over test subjects.
        level: Of the interval.
    """
    total = variance + case_variance
    of_cases = case_variance**2 / max(seen.subjects - 1, 1)
    degrees = total**2 / (variance**2 / seen.degrees + of_cases)
    return np.asarray(student.ppf((1 + level) / 2, degrees) * np.sqrt(total))


def slope_interval(
    seen: Observations, average: Average, level: float
) -> tuple[float, float, float]:
    """Return how fast ln error falls with ln n at the largest size, with the ends of its interval.

    In logarithms: the variance within members and that between them, by weight, and what other
    test subjects would add. Tests by origins are about what comes, and reduce no doubt at N.

    Args:
        seen: What the law was fitted to.
        average: The law.
        level: Of the interval.
    """
    values = np.array([member.theta[SLOPE] for member in average.members])
    within = np.array([member.covariance[SLOPE, SLOPE] for member in average.members])
    centre = average.weights @ values
    variance = average.weights @ (within + (values - centre) ** 2)
    moves = np.zeros(len(seen.sizes))
    for _, weight, gain in _gains(average):
        moves += weight * gain[SLOPE]
    variance += moves @ seen.doubt @ moves
    cases = np.maximum(0, moves @ seen.case_covariance @ moves)
    half = half_width(seen, variance, cases, level)
    low, estimate, high = np.exp([centre - half, centre, centre + half])
    return float(estimate), float(low), float(high)


def floor_interval(
    seen: Observations, average: Average, level: float
) -> tuple[float, float, float]:
    """Return the floor in the unit of the errors, with the ends of its profile interval.

    Each member is fitted again with its floor held at each of many shares of the error at N.
    A share is inside while the members' weighted relative likelihood is above the bound that
    χ² with one degree of freedom has; a member without a floor counts for share 0. What other test
    subjects would do to the floor widens both sides.
    """
    estimate, likelihood = 0.0, np.zeros(len(_FLOOR_LOGITS))
    for member, weight, profile in average.profiles(_FLOOR_LOGITS):
        if member.family.has_floor:
            estimate += weight * _floor(member)
        likelihood += weight * profile
    likelihood /= likelihood.max()
    inside = np.flatnonzero(likelihood >= np.exp(-chi2.ppf(level, 1) / 2))
    error = average.error
    low = 0.0 if inside[0] == 0 else float(error * expit(_FLOOR_LOGITS[inside[0] - 1]))
    last = min(inside[-1] + 1, len(_FLOOR_LOGITS) - 1)
    high = float(error * expit(_FLOOR_LOGITS[last]))
    low, high = min(low, estimate), max(high, estimate)
    # Subjects and what the profile tells move ln floor independently.
    by_cases = student.ppf((1 + level) / 2, max(seen.subjects - 1, 1))
    by_cases *= np.sqrt(_floor_case_variance(seen, average)) / estimate
    if low:
        low = estimate * float(np.exp(-np.hypot(by_cases, np.log(estimate / low))))
    return estimate, low, estimate * float(np.exp(np.hypot(by_cases, np.log(high / estimate))))


def _floor(member: Member) -> float:
    return float(np.exp(member.theta[LEVEL]) * expit(member.theta[FLOOR]))


def _floor_case_variance(seen: Observations, average: Average) -> float:
    """Return the variance of the floor over test subjects, in the squared unit of the errors."""
    moves = np.zeros(len(seen.sizes))
    for member, weight, gain in _gains(average):
        if member.family.has_floor:
            by_floor = expit(-member.theta[FLOOR]) * gain[FLOOR]
            moves += weight * _floor(member) * (gain[LEVEL] + by_floor)
    return max(0.0, float(moves @ seen.case_covariance @ moves))

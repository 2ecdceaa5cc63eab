"""Which families to believe: those that foretold the held-out larger sizes of the same curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from medscale.laws.families import (
    EXPONENTIAL,
    FAMILIES,
    FLOOR,
    LEVEL,
    POWER,
    SLOPE,
    Array,
    Family,
)
from medscale.laws.fitting import BatchFit
from medscale.laws.observations import Observations
from medscale.laws.rounds import READINGS, Reading, Rounds

_USUAL_MISS = 0.1
"""Error over one doubling, in slopes, below which misses hardly tell members apart."""

_TRUST = 8.0
"""How many misses that at the latest origin counts for, where many sizes lie before it."""

_USUAL_MISFIT = 0.1
"""By what share of the slope at N all members may be wrong together, as one origin would tell."""

_RARE = {POWER: 0.1, EXPONENTIAL: 0.1}
"""Weight before any data, beside 1: the extremes, no floor at all and a floor met at once."""

_LARGEST_TIE = 0.2
"""Most that AICc may add to a log weight: it breaks ties and decides nothing else."""


@dataclass(frozen=True)
class Member:
    """One family under one reading, fitted to all sizes.

    Attributes:
        family: The family.
        reading: The reading.
        theta: Parameters in the frame of the largest size (P,).
        covariance: Of the parameters (P, P).
        miss: Root mean square error of ln error on held-out sizes; NaN where none was held out.
    """

    family: Family
    reading: Reading
    theta: Array
    covariance: Array
    miss: float

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name, in the unit of the errors."""
        error = float(np.exp(self.theta[LEVEL]))
        named = {"error": error, "slope": float(np.exp(self.theta[SLOPE]))}
        if self.family.has_floor:
            named["floor"] = error * float(expit(self.theta[FLOOR]))
        shape = self.theta[2 + self.family.has_floor :]
        return named | {p.name: float(v) for p, v in zip(self.family.shape, shape, strict=True)}


@dataclass(frozen=True)
class Failure:
    """A family that could not be fitted."""

    family: Family
    reason: str


@dataclass(frozen=True)
class Average:
    """Members with their weights.

    Attributes:
        members: Every family under every reading (M).
        weights: Of the members, adding up to 1 (M,).
        failures: Families that have no member.
        rounds: What the members were fitted to.
        misfit: Share of the slope at N by which all members may be wrong together beyond N, as
            they were beyond the origins.
    """

    members: tuple[Member, ...]
    weights: Array
    failures: tuple[Failure, ...]
    rounds: Rounds
    misfit: float

    @property
    def tested(self) -> float:
        """How many forecasts like the one from N the weights rest on."""
        return float(self.rounds.credit.sum())

    @property
    def error(self) -> float:
        """Mean error at the largest size."""
        return float(np.exp(self.weights @ [member.theta[LEVEL] for member in self.members]))

    @property
    def slope(self) -> float:
        """How fast ln error falls with ln n at the largest size."""
        return float(self.weights @ [np.exp(member.theta[SLOPE]) for member in self.members])

    def by_family(self) -> Iterator[tuple[Family, float, Member]]:
        """Yield each family with its weight and its heaviest member."""
        for start in range(0, len(self.members), len(READINGS)):
            place = slice(start, start + len(READINGS))
            heaviest = self.members[start + int(np.argmax(self.weights[place]))]
            yield heaviest.family, float(self.weights[place].sum()), heaviest

    def foretell(self, x: Array) -> tuple[Array, Array]:
        """Return each member's ln error at x = ln(n / N), and its variance, both (M, K)."""
        values, variances = [], []
        for member in self.members:
            value, gradient = member.family.log_error(x[None], member.theta[None])
            values.append(value[0])
            variances.append(((gradient[0] @ member.covariance) * gradient[0]).sum(1))
        return np.array(values), np.array(variances)

    def profiles(self, logits: Array) -> Iterator[tuple[Member, float, Array]]:
        """Yield each member, its weight, and how likely each floor is to it, the best being 1.

        Args:
            logits: Floors, as logits of their share of the error at N, ascending (L,).
        """
        places = iter(zip(self.members, self.weights, strict=True))
        for family, _, _ in self.by_family():
            for profile in self.rounds.profile(family, logits):
                member, weight = next(places)
                yield member, float(weight), profile


def average(seen: Observations) -> Average:
    """Fit every family under every reading and weigh them by what they foretold.

    For each origin, the sizes up to it are fitted and the next doubling is foretold. The weight
    of a member is (Σ r miss² + c)^(−T Σ r / 2), with r the origin's credit: the likelihood of
    its misses where their variance is unknown, with c for what is usual.
    """
    rounds = Rounds(seen)
    usual = (_USUAL_MISS * rounds.slopes[0]) ** 2 + seen.variance[-1]
    fits: dict[Family, BatchFit] = {}
    failures = []
    for family in FAMILIES:
        fitted = rounds.fit(family)
        if np.isfinite(fitted.theta).all() and np.isfinite(fitted.objective).all():
            fits[family] = fitted
        else:
            failures.append(Failure(family, "its least squares met numbers that are not finite"))
    ties = _ties(fits, len(seen.sizes))
    members, scores, missed = [], [], []
    for family, fitted in fits.items():
        squares = rounds.squared_misses(family, fitted)
        score = -_TRUST * rounds.credit.sum() / 2 * np.log(rounds.credit @ squares + usual)
        missed.append(squares)
        scores.append(score + math.log(_RARE.get(family, 1.0)) - ties[family])
        theta = fitted.theta[: len(READINGS)].copy()
        theta[:, LEVEL] += seen.log_means[-1]
        covariance = rounds.covariance(family, fitted)
        miss = np.sqrt(squares.mean(0)) if len(squares) else np.full(len(READINGS), np.nan)
        members += [
            Member(family, reading, theta[place], covariance[place], float(miss[place]))
            for place, reading in enumerate(READINGS)
        ]
    weights = np.exp(np.concatenate(scores) - np.max(scores))
    weights /= weights.sum()
    misfit = _misfit(rounds, np.concatenate(missed, axis=1) @ weights)
    return Average(tuple(members), weights, tuple(failures), rounds, misfit)


def _misfit(rounds: Rounds, squares: Array) -> float:
    """Return the misfit of `Average` from the mean square of the members' misses (M,).

    The mean over origins, and what is usual as one more, is geometric: one surprise on the way is
    not expected again in full.
    """
    usual = _USUAL_MISFIT**2
    logs = np.log(rounds.misfits(squares) + usual)
    total = rounds.credit @ logs + math.log(usual)
    return math.exp(total / (rounds.credit.sum() + 1) / 2)


def _ties(fits: dict[Family, BatchFit], sizes: int) -> dict[Family, Array]:
    """Return half of AICc above the least, at most `_LARGEST_TIE`, by reading."""
    halves = {}
    for family, fitted in fits.items():
        count = family.parameter_count
        spare = sizes - count - 1
        penalty = count + count * (count + 1) / spare if spare > 0 else np.inf
        halves[family] = fitted.objective[: len(READINGS)] / 2 + penalty
    least = np.min(list(halves.values()), axis=0)
    if not np.isfinite(least).all():
        return {family: np.zeros(len(READINGS)) for family in halves}
    return {family: np.minimum(half - least, _LARGEST_TIE) for family, half in halves.items()}

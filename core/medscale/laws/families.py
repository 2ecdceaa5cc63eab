"""Families of learning curves, all in one frame, with analytic gradients.

Every family is written at the largest size that was run, N, with x = ln(n / N):

    error(n) = E ((1 − φ) exp(g(x)) + φ),    g(0) = 0,    g′(0) = −b / (1 − φ)

E is the error at N, b the slope there (how many per cent the error falls per per cent of more
images), φ the share of E that no number of images removes, and g the family's own shape. So all
families answer the same three questions, which the late points tell, and differ only in how they
bend away from them. Families without a floor have φ = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

Array = NDArray[np.float64]
Excess = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
"""(x (B, K), slope β (B, 1), shape (B, Q)) → g (B, K), ∂g/∂ln β (B, K), ∂g/∂shape (B, K, Q)."""

LEVEL, SLOPE, FLOOR = 0, 1, 2
"""Places of ln E, ln b and logit φ among a family's parameters; its shape follows."""


@dataclass(frozen=True)
class ShapeParameter:
    """A parameter of g, with the normal distribution that it has before any data."""

    name: str
    centre: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of curves.

    Attributes:
        name: Identifier.
        title: For people.
        has_floor: Whether φ is free (otherwise 0).
        shape: Parameters of g beyond its slope.
        excess: The function g with its gradient.
        source: Where the family comes from.
    """

    name: str
    title: str
    has_floor: bool
    excess: Excess
    source: str
    shape: tuple[ShapeParameter, ...] = ()

    @property
    def parameter_count(self) -> int:
        """Number of free parameters."""
        return 2 + self.has_floor + len(self.shape)

    def log_error(self, x: Array, theta: Array) -> tuple[Array, Array]:
        """Return ln error and its gradient.

        Args:
            x: ln(n / N), shape (B, K).
            theta: ln E, ln b, logit φ (where there is a floor), shape; (B, P).

        Returns:
            Values (B, K) and gradient with respect to theta (B, K, P).
        """
        level, slope = theta[:, LEVEL, None], np.exp(theta[:, SLOPE, None])
        if not self.has_floor:
            g, by_slope, by_shape = self.excess(x, slope, theta[:, 2:])
            columns = [np.ones_like(g)[..., None], by_slope[..., None], by_shape]
            return level + g, np.concatenate(columns, axis=-1)
        logit = theta[:, FLOOR, None]
        odds, share = np.exp(logit), expit(logit)
        # β = b / (1 − φ) = b (1 + odds)
        g, by_slope, by_shape = self.excess(x, slope * (1 + odds), theta[:, 3:])
        falling, resting = log_expit(-logit) + g, log_expit(logit)
        part = expit(falling - resting)
        by_floor = part * (by_slope * share - share) + (1 - part) * (1 - share)
        columns = [
            np.ones_like(g)[..., None],
            (part * by_slope)[..., None],
            by_floor[..., None],
            part[..., None] * by_shape,
        ]
        value = level + np.logaddexp(falling, resting)
        return value, np.concatenate(columns, axis=-1)


def _no_shape(x: Array) -> Array:
    return np.empty((*x.shape, 0))


def _power(x: Array, slope: Array, shape: Array) -> tuple[Array, Array, Array]:
    g = -slope * x
    return g, g, _no_shape(x)


def _shifted(x: Array, slope: Array, shape: Array) -> tuple[Array, Array, Array]:
    shift = shape[:, 0, None]
    s = np.exp(shift)
    log_ratio = np.logaddexp(x, shift) - np.logaddexp(0, shift)
    g = -slope * (1 + s) * log_ratio
    by_shift = -slope * (s * log_ratio + (1 + s) * (expit(shift - x) - expit(shift)))
    return g, g, by_shift[..., None]


def _exponential(x: Array, slope: Array, shape: Array) -> tuple[Array, Array, Array]:
    g = -slope * np.expm1(x)
    return g, g, _no_shape(x)


_NEWTON_STEPS = 12


def _m4(x: Array, slope: Array, shape: Array) -> tuple[Array, Array, Array]:
    # z = logit of how far the error is from its floor, as a share of the way to random guessing;
    # the family says: ln σ(z) − α ln σ(−z) is linear in ln n.
    start, log_alpha = shape[:, 0, None], shape[:, 1, None]
    alpha, odds = np.exp(log_alpha), np.exp(start)
    rate = slope * (1 + alpha * odds)
    line = log_expit(start) - alpha * log_expit(-start) - rate * x
    z = np.where(line < 0, line, line / alpha)
    for _ in range(_NEWTON_STEPS):
        residual = log_expit(z) - alpha * log_expit(-z) - line
        z = z - np.clip(residual / (expit(-z) + alpha * expit(z)), -20, 20)
    steepness = expit(-z) + alpha * expit(z)
    to_g = expit(-z) / steepness
    by_slope = -to_g * rate * x
    by_start = to_g * (expit(-start) + alpha * expit(start) - x * slope * alpha * odds)
    by_start = by_start - expit(-start)
    by_alpha = to_g * alpha * (log_expit(-z) - log_expit(-start) - x * slope * odds)
    g = log_expit(z) - log_expit(start)
    return g, by_slope, np.stack([by_start, by_alpha], axis=-1)


def _broken(x: Array, slope: Array, shape: Array) -> tuple[Array, Array, Array]:
    # The slope of g goes from ρ to 1 (times a factor that makes it β at x = 0) around x = d.
    ratio, centre, width = np.exp(shape[:, 0, None]), shape[:, 1, None], np.exp(shape[:, 2, None])
    u, u0 = (x - centre) / width, -centre / width
    s, s0 = expit(u), expit(u0)
    ramp = width * (np.logaddexp(0, u) - np.logaddexp(0, u0))
    travelled = ratio * x + (1 - ratio) * ramp
    at_end = ratio + (1 - ratio) * s0
    bend0 = (1 - ratio) * s0 * (1 - s0)
    g = -slope * travelled / at_end

    def derivative(of_travelled: Array, of_end: Array) -> Array:
        by: Array = -slope * (of_travelled - travelled * of_end / at_end) / at_end
        return by

    by_ratio = derivative(ratio * (x - ramp), ratio * (1 - s0))
    by_centre = derivative((1 - ratio) * (s0 - s), -bend0 / width)
    by_width = derivative((1 - ratio) * (ramp - width * (u * s - u0 * s0)), -bend0 * u0)
    return g, g, np.stack([by_ratio, by_centre, by_width], axis=-1)


POWER = Family(
    name="power", title="power law", has_floor=False, excess=_power, source="Hestness et al. 2017"
)
POWER_FLOOR = Family(
    name="power_floor",
    title="power law + floor",
    has_floor=True,
    excess=_power,
    source="Rosenfeld et al. 2020",
)
SHIFTED_FLOOR = Family(
    name="shifted_floor",
    title="shifted power law + floor",
    has_floor=True,
    excess=_shifted,
    shape=(ShapeParameter("ln(shift / N)", -3.0, 1.5),),
    source="Alabdulmohsin et al. 2022, M3",
)
M4 = Family(
    name="m4",
    title="sigmoid-like (M4)",
    has_floor=True,
    excess=_m4,
    shape=(ShapeParameter("logit of excess", -1.5, 1.5), ShapeParameter("ln α", 0.0, 0.7)),
    source="Alabdulmohsin et al. 2022, M4",
)
EXPONENTIAL = Family(
    name="exponential",
    title="exponential plateau",
    has_floor=True,
    excess=_exponential,
    source="Viering and Loog 2023, exp3",
)
BROKEN = Family(
    name="bnsl",
    title="one smooth break (BNSL)",
    has_floor=True,
    excess=_broken,
    shape=(
        ShapeParameter("ln(early / late slope)", 0.0, 0.7),
        ShapeParameter("ln(break / N)", -1.5, 1.5),
        ShapeParameter("ln width", -0.5, 0.7),
    ),
    source="Caballero et al. 2023, n = 1",
)
FAMILIES = (POWER, POWER_FLOOR, SHIFTED_FLOOR, M4, EXPONENTIAL, BROKEN)

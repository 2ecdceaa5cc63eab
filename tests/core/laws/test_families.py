"""Families: gradients, the common frame, and what they are in the literature's terms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.laws.families import (
    FAMILIES,
    FLOOR,
    LEVEL,
    M4,
    POWER_FLOOR,
    SHIFTED_FLOOR,
    SLOPE,
    Array,
    Family,
)

STEP = 1e-6
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def parameters(family: Family, seed: int, count: int = 8) -> Array:
    return np.random.default_rng(seed).normal(-0.3, 0.7, (count, family.parameter_count))


@families
@given(seed=st.integers(0, 10_000))
def test_gradients_are_those_of_finite_differences(family: Family, seed: int) -> None:
    theta = parameters(family, seed)
    x = np.random.default_rng(seed + 1).uniform(-5, 2, (len(theta), 6))
    _, gradient = family.log_error(x, theta)
    for place, step in enumerate(STEP * np.eye(family.parameter_count)):
        above, _ = family.log_error(x, theta + step)
        below, _ = family.log_error(x, theta - step)
        numeric = (above - below) / (2 * STEP)
        np.testing.assert_allclose(gradient[..., place], numeric, rtol=1e-4, atol=1e-6)


@families
def test_level_and_slope_are_those_at_the_largest_size(family: Family) -> None:
    theta = parameters(family, 0)
    x = np.tile([-STEP, 0, STEP], (len(theta), 1))
    value, _ = family.log_error(x, theta)
    np.testing.assert_allclose(value[:, 1], theta[:, LEVEL], atol=1e-12)
    slope = (value[:, 0] - value[:, 2]) / (2 * STEP)
    np.testing.assert_allclose(slope, np.exp(theta[:, SLOPE]), rtol=1e-4)


@families
def test_errors_fall_with_n_and_not_below_the_floor(family: Family) -> None:
    theta = parameters(family, 1)
    x = np.tile(np.linspace(-6, 6, 50), (len(theta), 1))
    value, _ = family.log_error(x, theta)
    assert (np.diff(value) <= 1e-12).all()
    if family.has_floor:
        floor = theta[:, LEVEL] - np.log1p(np.exp(-theta[:, FLOOR]))
        assert (value >= floor[:, None] - 1e-12).all()


def test_power_law_with_floor_is_the_usual_one() -> None:
    n, largest = np.array([[1.0, 4.0, 64.0]]), 16.0
    usual = 0.5 * n**-0.4 + 0.1
    error = 0.5 * largest**-0.4 + 0.1
    share = 0.1 / error
    theta = np.log([[error, 0.4 * (1 - share), share / (1 - share)]])
    value, _ = POWER_FLOOR.log_error(np.log(n / largest), theta)
    np.testing.assert_allclose(np.exp(value), usual, rtol=1e-12)


def test_shifted_power_law_is_the_usual_one() -> None:
    n, largest, shift = np.array([[1.0, 4.0, 64.0]]), 16.0, 3.0
    usual = 0.5 * (n + shift) ** -0.4 + 0.1
    error = 0.5 * (largest + shift) ** -0.4 + 0.1
    share = 0.1 / error
    slope = 0.4 * largest / (largest + shift) * (1 - share)
    theta = np.log([[error, slope, share / (1 - share), shift / largest]])
    value, _ = SHIFTED_FLOOR.log_error(np.log(n / largest), theta)
    np.testing.assert_allclose(np.exp(value), usual, rtol=1e-12)


def test_m4_satisfies_its_published_equation() -> None:
    # (ε − ε∞) / (ε₀ − ε)^α = β n^−c: the logarithm of the left is linear in ln n.
    level, slope, floor, start, log_alpha = theta = [-1.0, -1.2, 0.2, -1.0, 0.4]
    x = np.linspace(-4, 3, 9)
    error = np.exp(M4.log_error(x[None], np.array([theta]))[0][0])
    limit = np.exp(level) / (1 + np.exp(-floor))
    top = limit + (np.exp(level) - limit) * (1 + np.exp(-start))
    left = np.log(error - limit) - np.exp(log_alpha) * np.log(top - error)
    np.testing.assert_allclose(np.diff(left, 2), 0, atol=1e-9)
    assert np.diff(left)[0] < 0
    assert slope < 0

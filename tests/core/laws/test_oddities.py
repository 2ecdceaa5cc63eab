"""Rises, zeros and gaps are told, and noise about a falling curve is not taken for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medscale.errors import DataError
from medscale.laws.observations import Observations, observe

SIZES = [1, 2, 4, 8, 16, 32]
TURNING = [0.5, 0.4, 0.3, 0.32, 0.4, 0.45]


def drawn(
    truth: Callable[[np.ndarray], np.ndarray], count: int, trials: int, noise: float, seed: int
) -> Observations | None:
    """Return a noisy curve, or None where it is refused because it surely rises."""
    n = np.repeat(np.exp2(np.arange(count)), trials)
    scatter = np.random.default_rng(seed).normal(size=len(n)) * noise
    try:
        return observe(n, truth(n) * np.exp(scatter))
    except DataError:
        return None


def power(n: np.ndarray) -> np.ndarray:
    return 0.1 + 0.5 * n**-0.5


def plateau(n: np.ndarray) -> np.ndarray:
    return 0.1 + 0.4 * np.exp(-n / 8)


def flat(n: np.ndarray) -> np.ndarray:
    return np.full(len(n), 0.3)


def test_a_late_rise_is_told_of_single_trials() -> None:
    seen = observe(SIZES, TURNING)
    assert seen.rises
    (warning,) = seen.warnings
    assert "from 0.3 at n = 4 to 0.45 at n = 32" in warning


def test_a_late_rise_is_told_of_many_trials_and_not_of_noisier_ones() -> None:
    sizes = np.repeat(SIZES, 6)
    errors = np.repeat([0.5, 0.4, 0.33, 0.28, 0.25, 0.3], 6)
    scatter = np.tile([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0], 6)
    assert observe(sizes, errors * (1 + 0.05 * scatter)).rises
    assert not observe(sizes, errors * (1 + 0.4 * scatter)).rises


def test_a_sure_rise_that_is_small_is_no_matter() -> None:
    sizes = np.repeat(SIZES, 6)
    errors = np.repeat([0.5, 0.4, 0.33, 0.28, 0.25, 0.26], 6)
    scatter = np.tile([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0], 6)
    assert not observe(sizes, errors * (1 + 0.005 * scatter)).rises


@pytest.mark.parametrize("count", [5, 9])
@pytest.mark.parametrize(
    ("truth", "trials", "noise", "most"),
    [
        (power, 5, 0.2, 0.01),
        (plateau, 5, 0.2, 0.04),
        (power, 1, 0.1, 0.01),
        (plateau, 1, 0.1, 0.04),
        # Noise alone, a curve that has been on its floor from the first size on.
        (flat, 5, 0.2, 0.1),
        (flat, 1, 0.05, 0.1),
    ],
)
def test_noise_is_rarely_taken_for_a_rise(
    truth: Callable[[np.ndarray], np.ndarray], count: int, trials: int, noise: float, most: float
) -> None:
    curves = [drawn(truth, count, trials, noise, seed) for seed in range(200)]
    rises = [seen.rises for seen in curves if seen]
    assert len(rises) > 180
    assert np.mean(rises) <= most


def test_checkpoints_that_wander_together_are_no_rise() -> None:
    sizes = np.arange(1, 101) * 10.0
    rises = 0
    for seed in range(50):
        steps = np.random.default_rng(seed).normal(size=100) * 0.03
        wander = np.zeros(100)
        for place, step in enumerate(steps):
            wander[place] = 0.7 * wander[place - 1] + step
        rises += observe(sizes, (0.1 + 2 / sizes) * np.exp(wander)).rises
    assert rises <= 2


def test_means_that_are_all_equal_are_told() -> None:
    (warning,) = observe(SIZES, [0.3] * 6).warnings
    assert warning.startswith("the mean error is 0.3 at all 6 sizes")


def test_zeros_among_others_are_told_with_their_size() -> None:
    errors = [0.5, 0.52, 0.4, 0.41, 0.3, 0.33, 0.2, 0.22, 0.15, 0.0, 0.1, 0.12]
    (warning,) = observe(np.repeat(SIZES, 2), errors).warnings
    assert warning.startswith("1 of 2 trials at n = 16 have an error of exactly 0")


def test_missing_case_scores_are_told() -> None:
    errors = np.outer([0.5, 0.4, 0.33, 0.28, 0.24, 0.2], [0.9, 1.0, 1.1])
    assert not observe(SIZES, errors).warnings
    errors[1, 2] = errors[4, 0] = np.nan
    (warning,) = observe(SIZES, errors).warnings
    assert warning.startswith("2 of 18 case scores are missing and left out")


def test_cases_of_another_split_are_not_missing() -> None:
    errors = np.outer(np.repeat([0.5, 0.4, 0.33, 0.28, 0.24, 0.2], 2), [0.9, 1.0, 1.1, 1.2])
    splits = np.tile([0, 1], 6)
    errors[np.ix_(splits == 0, [2, 3])] = errors[np.ix_(splits == 1, [0, 1])] = np.nan
    assert not observe(np.repeat(SIZES, 2), errors, splits=splits).warnings
    errors[4, 0] = np.nan
    (warning,) = observe(np.repeat(SIZES, 2), errors, splits=splits).warnings
    assert warning.startswith("1 of 24 case scores")

"""The best so far of one run is known as such, and the law is of the checkpoints behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.laws import fit
from medscale.laws.best_so_far import repeats, uncover
from medscale.laws.observations import observe

CHECKPOINTS, SIZES = 200, 24
NOISE = 0.03


def truth(n: np.ndarray) -> np.ndarray:
    return 0.2 + 0.5 * n**-0.5


def run(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes, even in ln n, and the best error of all checkpoints up to each."""
    n = np.arange(1, CHECKPOINTS + 1)
    scatter = np.random.default_rng(seed).normal(size=CHECKPOINTS) * NOISE
    best = np.minimum.accumulate(truth(n) * np.exp(scatter))
    shown = np.unique(np.geomspace(4, CHECKPOINTS, SIZES).round().astype(int)) - 1
    return n[shown].astype(float), best[shown]


def test_repeats_are_found_and_told() -> None:
    sizes, errors = run(0)
    same = repeats(errors)
    np.testing.assert_array_equal(same[1:], errors[1:] == errors[:-1])
    assert same.sum() >= 2
    (warning,) = observe(sizes, errors).warnings
    assert f"repeats at {same.sum()} of {len(sizes)} sizes" in warning
    assert "the law is of its checkpoints" in warning


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([0.5, 0.4, 0.4, 0.33, 0.3, 0.3, 0.31], id="it rises"),
        pytest.param([0.5, 0.4, 0.4, 0.33, 0.3, 0.27], id="one repeat"),
        pytest.param([0.5, 0.4, 0.33, 0.3, 0.28, 0.26], id="no repeat"),
        pytest.param([0.5, 0.4, 0.31, 0.3, 0.3, 0.3], id="it stays"),
        pytest.param([0.3, 0.3, 0.3, 0.3], id="all equal"),
    ],
)
def test_other_curves_are_taken_as_they_are(errors: list[float]) -> None:
    assert not repeats(np.array(errors)).any()


@pytest.mark.parametrize("unit", [1e-12, 0.1, 1.0, 7.0, 10.0, 100.0, 1e6])
def test_the_unit_of_errors_is_no_matter(unit: float) -> None:
    # The falls that end repeats are three times the unit of these errors.
    errors = np.array([0.5, 0.4, 0.4, 0.37, 0.34, 0.34, 0.31, 0.25])
    assert repeats(errors * unit).sum() == repeats(errors).sum() == 2


def test_trainings_of_doubling_sizes_are_taken_as_they_are_with_a_warning() -> None:
    sizes, errors = 2.0 ** np.arange(8), [0.5, 0.4, 0.4, 0.33, 0.27, 0.27, 0.22, 0.17]
    seen = observe(sizes, errors)
    np.testing.assert_array_equal(seen.log_means, np.log(errors))
    (warning,) = seen.warnings
    assert "repeats at 2 of 8 sizes" in warning
    assert "better than a training of that size is" in warning


@given(decimals=st.integers(2, 4), exponent=st.floats(0.1, 1), floor=st.floats(0.01, 0.3))
def test_rounding_is_not_taken_for_the_best_so_far(
    decimals: int, exponent: float, floor: float
) -> None:
    n = 2.0 ** np.arange(14)
    assert not repeats(np.round(floor + 0.5 * n**-exponent, decimals)).any()


def test_several_trials_of_a_size_are_never_the_best_so_far() -> None:
    sizes, errors = run(0)
    twice = observe(np.repeat(sizes, 2), np.repeat(errors, 2) * np.tile([0.99, 1.01], len(sizes)))
    np.testing.assert_allclose(twice.log_means, np.log(errors), rtol=1e-12)


def test_checkpoints_and_their_noise_are_uncovered() -> None:
    missed, hidden, noise = [], [], []
    for seed in range(10):
        sizes, errors = run(seed)
        found = uncover(sizes, np.log(errors), repeats(errors), 1e-4)
        missed.append(np.log(errors[-5:] / truth(sizes[-5:])).mean())
        hidden.append((found.log_errors[-5:] - np.log(truth(sizes[-5:]))).mean())
        noise.append(np.sqrt(found.variance))
    assert np.mean(missed) < -NOISE
    # How many checkpoints there were is not known, so that only about half is made good.
    assert np.mean(missed) * 0.65 < np.mean(hidden) < 0
    assert NOISE / 2 < np.mean(noise) < NOISE


def test_the_law_is_nearer_to_new_runs_than_that_of_the_errors_as_given() -> None:
    later = np.arange(CHECKPOINTS, 2 * CHECKPOINTS, 20.0)
    missed: dict[str, list[float]] = {"best": [], "as given": []}
    inside: dict[str, list[float]] = {"best": [], "as given": []}
    for seed in range(10):
        sizes, errors = run(seed)
        scatter = np.random.default_rng([seed, 1]).normal(size=len(later)) * NOISE
        checkpoints = truth(later) * np.exp(scatter)
        # A breath of noise, and the same errors are no best so far.
        breath = 1 + 1e-6 * np.random.default_rng([seed, 2]).uniform(size=len(errors))
        for name, given_errors in (("best", errors), ("as given", errors * breath)):
            law = fit(sizes, given_errors)
            np.testing.assert_array_equal(law.means, given_errors)
            low, high = law.interval(later, kind="run")
            missed[name].append(float(np.log(law.predict(later) / truth(later)).mean()))
            inside[name].append(float(np.mean((low <= checkpoints) & (checkpoints <= high))))
    assert np.mean(missed["as given"]) + NOISE / 3 < np.mean(missed["best"]) < NOISE / 3
    assert np.mean(inside["best"]) > np.mean(inside["as given"]) + 0.2


def test_where_every_size_is_one_checkpoint_intervals_still_hold_the_truth() -> None:
    sizes, inside = 4 * 1.17 ** np.arange(24.0), []
    for seed in range(20):
        scatter = np.random.default_rng([seed, 3]).normal(size=len(sizes)) * NOISE
        errors = np.minimum.accumulate(truth(sizes) * np.exp(scatter))
        if repeats(errors).any():
            ends = np.array([1, 2]) * sizes[-1]
            low, high = fit(sizes, errors).interval(ends)
            inside.append((low <= truth(ends)) & (truth(ends) <= high))
    assert len(inside) > 10
    assert np.mean(inside) > 0.9

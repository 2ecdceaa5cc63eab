"""What all sizes owe to the test subjects that they share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.laws.cases import by_subject, shared_covariance

TRIALS, SUBJECTS = 6, 12
PLACE, LABELS = np.repeat([0, 1], TRIALS), np.tile(np.arange(TRIALS), 2)
"""Two sizes of six nested replicates."""
EACH_ITS_OWN = np.arange(SUBJECTS)


def covariance(errors: np.ndarray, subjects: np.ndarray = EACH_ITS_OWN) -> np.ndarray:
    return shared_covariance(*by_subject(errors, subjects), PLACE, LABELS)


def drawn(deviation: float, *shape: int, seed: int = 0) -> np.ndarray:
    return 1 + deviation * np.random.default_rng(seed).standard_normal(shape)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), missing=st.floats(0, 0.8))
def test_parts_add_up_to_the_mean_over_the_cases_that_were_scored(
    seed: int, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    errors = generator.uniform(size=(5, 8))
    errors[:, 1:][generator.uniform(size=(5, 7)) < missing] = np.nan
    parts, shares = by_subject(errors, np.array([0, 0, 1, 1, 1, 2, 3, 3]))
    np.testing.assert_allclose(parts.sum(axis=1), np.nanmean(errors, axis=1))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    scored = np.isfinite(errors[:, :2]).sum(axis=1) / np.isfinite(errors).sum(axis=1)
    np.testing.assert_allclose(shares[:, 0], scored)


def test_patients_that_are_hard_at_all_sizes_move_all_sizes() -> None:
    hardness = drawn(0.05, SUBJECTS)
    found = covariance(np.tile(hardness, (2 * TRIALS, 1)))
    np.testing.assert_allclose(found, hardness.var(ddof=1) / SUBJECTS, rtol=0.02)


def test_what_trials_do_on_one_case_only_is_not_counted_again() -> None:
    interaction, hardness = 0.3, 0.1
    found = np.mean(
        [
            covariance(
                drawn(hardness, SUBJECTS, seed=seed)
                + drawn(interaction, 2 * TRIALS, SUBJECTS, seed=1000 + seed)
            )
            for seed in range(200)
        ],
        axis=0,
    )
    # The sum of both has mean 2.
    expected = (hardness / 2) ** 2 / SUBJECTS
    assert found[0, 1] == pytest.approx(expected, rel=0.2)
    # Variances are never negative, so that chance leaves something.
    assert np.diag(found).max() < expected + 0.5 * (interaction / 2) ** 2 / SUBJECTS / TRIALS


def test_slices_of_one_patient_are_one_patient() -> None:
    patients = np.tile(drawn(0.05, SUBJECTS), (2 * TRIALS, 1))
    slices = np.repeat(patients, 4, axis=1)
    by_patient = covariance(slices, np.repeat(EACH_ITS_OWN, 4))
    np.testing.assert_allclose(by_patient, covariance(patients))
    assert covariance(slices, np.arange(4 * SUBJECTS))[0, 1] < by_patient[0, 1] / 3


def test_splits_that_are_tested_on_other_patients_halve_it() -> None:
    hardness = drawn(0.05, SUBJECTS)
    errors = np.tile(hardness, (2 * TRIALS, 1))
    errors[::2, ::2] = errors[1::2, 1::2] = np.nan
    pair_of_splits = covariance(errors)
    one_split = covariance(np.where(np.isnan(errors[0]), np.nan, np.tile(hardness, (12, 1))))
    assert pair_of_splits[0, 1] == pytest.approx(hardness.var(ddof=1) / SUBJECTS, rel=0.3)
    assert one_split[0, 1] > 1.2 * pair_of_splits[0, 1]


def test_one_subject_says_nothing_about_others() -> None:
    errors = drawn(0.1, 2 * TRIALS, 3)
    assert not covariance(errors, np.zeros(3, dtype=int)).any()

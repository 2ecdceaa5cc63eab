"""Bad input gets its sentence, and noise is estimated as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medscale.errors import DataError
from medscale.laws.observations import errors_from_scores, observe

SIZES = [1, 2, 4, 8, 16]
ERRORS = [0.5, 0.4, 0.33, 0.29, 0.26]


@pytest.mark.parametrize(
    ("sizes", "errors", "sentence"),
    [
        (SIZES, [0.5, 0.4, -0.1, 0.3, 0.2], "errors got -0.1, expected none below 0"),
        (SIZES, [1 - 50.0, 1 - 60.0, 1 - 70.0, 1 - 75.0, 1 - 80.0], "not per cent"),
        (SIZES, [0.5, 0.4, np.nan, 0.3, 0.2], r"errors\[2\] is nan"),
        (SIZES, [0.5, 0.4, 0.3, 0.2, 0], "mean error at n = 16 is 0"),
        (SIZES, ERRORS[::-1], "the error does not fall"),
        (SIZES, ERRORS[:4], "errors got 4 values for 5 sizes"),
        ([8, 8, 8], [0.3, 0.2, 0.25], "all 3 trials have n = 8, .* run n = 16 and 32"),
        ([8], [0.3], "the only trial has n = 8"),
        ([0, 1, 2], [0.3, 0.2, 0.1], "sizes got 0"),
        ([], [], "sizes have shape"),
        (["a", "b"], [0.3, 0.2], "sizes hold something that is no number"),
    ],
)
def test_impossible_input_is_refused_in_a_sentence(
    sizes: list[float], errors: list[float], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        observe(sizes, errors)


@pytest.mark.parametrize(
    ("case", "subjects", "sentence"),
    [
        (np.inf, None, r"errors\[2, 1\] is inf"),
        (-0.1, None, r"errors\[2, 1\], of trial 2 on test case 1, is -0.1, expected none below 0"),
        (np.nan, ["a"] * 3, "subjects got 3 labels for 2 test cases"),
    ],
)
def test_impossible_test_cases_are_refused_in_a_sentence(
    case: float, subjects: list[str] | None, sentence: str
) -> None:
    errors = np.column_stack([ERRORS, ERRORS])
    errors[2, 1] = case
    with pytest.raises(DataError, match=sentence):
        observe(SIZES, errors, subjects=subjects)


def test_a_trial_without_a_scored_case_is_refused() -> None:
    errors = np.column_stack([ERRORS, ERRORS])
    errors[3] = np.nan
    with pytest.raises(DataError, match=r"errors\[3\] hold no test case"):
        observe(SIZES, errors)


def test_a_training_log_is_refused_with_advice() -> None:
    sizes = np.arange(1.0, 20_001)
    with pytest.raises(DataError, match="20000 different sizes, expected at most 1000; keep 200"):
        observe(sizes, 0.1 + sizes**-0.5)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, None, 3, 4], r"replicates\[2\] is None, expected a label"),
        ([0, 1, np.nan, 3, 4], r"replicates\[2\] is nan, expected a label"),
        ([0, 1, pd.NA, 3, 4], r"replicates\[2\] is <NA>, expected a label"),
        ("abcde", "replicates got 'abcde', expected one label for each"),
        (3, "replicates got 3, expected one label for each"),
        ([[0], [1], [2], [3], [4]], "expected one label for each"),
        ([[0], [1, 2]], "expected one label for each"),
        ([0, 1], "replicates got 2 values for 5 sizes"),
    ],
)
def test_labels_that_are_none_get_a_sentence(labels: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        observe(SIZES, ERRORS, replicates=labels)  # type: ignore[arg-type]


def test_labels_may_be_of_any_type() -> None:
    sizes, errors = np.repeat(SIZES, 2), np.repeat(ERRORS, 2) * np.tile([0.9, 1.1], 5)
    plain = observe(sizes, errors, replicates=np.tile([0, 1], 5))
    mixed = observe(sizes, errors, replicates=np.array(["a", 1] * 5, dtype=object))
    np.testing.assert_allclose(mixed.correlation, plain.correlation)


def test_subjects_need_errors_by_case() -> None:
    with pytest.raises(DataError, match="subjects got 5 labels for 1 test cases"):
        observe(SIZES, ERRORS, subjects=["a", "b", "c", "d", "e"])


def test_a_flat_noisy_curve_is_fitted_with_a_warning() -> None:
    seen = observe(SIZES, [0.3, 0.31, 0.29, 0.31, 0.3])
    assert any("does not fall" in warning for warning in seen.warnings)


def test_few_sizes_are_warned_about() -> None:
    assert any("3 sizes" in warning for warning in observe(SIZES[:3], ERRORS[:3]).warnings)
    assert not observe(SIZES, ERRORS).warnings


def test_scores_in_per_cent_are_refused() -> None:
    np.testing.assert_allclose(errors_from_scores([0.9, 1.0]), [0.1, 0.0], atol=1e-12)
    with pytest.raises(DataError, match="divide by 100"):
        errors_from_scores([84.0, 90.0])


def test_noise_is_found_again() -> None:
    generator = np.random.default_rng(0)
    n = np.repeat(2.0 ** np.arange(9), 20)
    spread = 0.3 * n**-0.25
    seen = observe(n, n**-0.4 * np.exp(generator.normal(size=len(n)) * spread))
    ratio = np.sqrt(seen.trial_variance) / (0.3 * seen.sizes**-0.25)
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_replicates_that_err_together_are_correlated() -> None:
    generator = np.random.default_rng(0)
    n, replicate = np.tile(SIZES, 20), np.repeat(np.arange(20), 5)
    common = generator.normal(size=20)[replicate] * 0.1
    errors = n**-0.4 * np.exp(common + generator.normal(size=100) * 0.02)
    together = observe(n, errors, replicate).correlation[0, 1]
    apart = observe(n, errors, generator.permutation(100)).correlation[0, 1]
    assert together > 0.6
    assert apart == 0

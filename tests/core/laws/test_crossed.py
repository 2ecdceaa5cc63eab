"""The variance of log means is that of trials crossed with subjects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from medscale.laws.crossed import LogMeans
from medscale.laws.pairing import PairedErrors

RATIO = np.array([[-1.0, 1.0]])


def paired(errors: np.ndarray) -> PairedErrors:
    """Return pairs of one size from errors (2, R, S), one case a subject."""
    _, trials, subjects = errors.shape
    shares = np.full((1, trials, subjects), 1 / subjects)
    return PairedErrors(np.array([4]), errors[:, None] / subjects, shares)


def noise(deviation: float, *shape: int) -> np.ndarray:
    return deviation * np.random.default_rng(0).standard_normal(shape)


def both(effect: np.ndarray, trials: int = 6, subjects: int = 8) -> np.ndarray:
    """Return errors of two arms whose second has that relative effect."""
    table = 0.2 * np.ones((2, trials, subjects))
    table[1] *= 1 + effect
    return table


def test_with_trials_alone_it_is_the_paired_t_test() -> None:
    effect = noise(0.01, 6, 1)
    found = LogMeans.of(paired(both(effect))).contrasts(RATIO)
    expected = stats.ttest_1samp(np.log1p(effect[:, 0]), 0)
    assert found.df[0, 0] == 5
    assert found.p_values()[0] == pytest.approx(expected.pvalue, rel=0.02)
    low, high = expected.confidence_interval(0.95)
    assert found.margin(0.95)[0] == pytest.approx((high - low) / 2, rel=0.02)


def test_with_subjects_alone_it_is_the_t_test_over_subjects() -> None:
    effect = noise(0.01, 1, 8)
    found = LogMeans.of(paired(both(effect))).contrasts(RATIO)
    expected = stats.ttest_1samp(effect[0], 0)
    assert found.df[1, 0] == 7
    assert found.p_values()[0] == pytest.approx(expected.pvalue, rel=0.05)


def test_with_both_it_is_hillis_variance() -> None:
    effect = noise(0.01, 6, 1) + noise(0.02, 1, 8) + noise(0.015, 6, 8)
    found = LogMeans.of(paired(both(effect))).contrasts(RATIO)
    rows, columns = effect.mean(1), effect.mean(0)
    rest = effect - rows[:, None] - columns + effect.mean()
    of_trials = rows.var(ddof=1) / 6
    beyond = max(columns.var(ddof=1) / 8 - (rest**2).sum() / (5 * 7) / 48, 0)
    assert found.variances[:, 0] == pytest.approx([of_trials, beyond], rel=0.06)
    assert found.se[0] == pytest.approx(np.sqrt(of_trials + beyond), rel=0.03)
    assert found.df[:, 0].tolist() == [5, 7]


def test_what_is_added_is_known_well() -> None:
    found = LogMeans.of(paired(both(noise(0.01, 6, 1)))).contrasts(RATIO)
    more = found.plus(np.array([0.5]), np.array([0.04]))
    assert more.values[0] == found.values[0] + 0.5
    assert more.se[0] == pytest.approx(np.hypot(found.se[0], 0.2))
    far = stats.norm.isf(0.025) * 0.2
    assert more.margin(0.95)[0] == pytest.approx(np.hypot(found.margin(0.95)[0], far))


def test_what_the_arms_share_cancels() -> None:
    shared = np.exp(noise(0.5, 6, 8))
    curves = LogMeans.of(paired(both(np.full((1, 1), -0.3)) * shared))
    found = curves.contrasts(RATIO)
    assert found.values[0] == pytest.approx(np.log(0.7))
    assert found.se[0] == pytest.approx(0, abs=1e-12)
    single = curves.contrasts(np.array([[1.0, 0.0]]))
    assert single.se[0] > 0.05


def test_a_trial_of_which_all_hangs_makes_the_interval_wide() -> None:
    table = both(noise(0.01, 6, 8))
    table[1, 1:] = 0
    assert LogMeans.of(paired(table)).contrasts(RATIO).se[0] > 1


def test_one_trial_has_no_standard_error() -> None:
    found = LogMeans.of(paired(both(noise(0.1, 1, 8), trials=1))).contrasts(RATIO)
    assert np.isfinite(found.values).all()
    assert np.isnan(found.se).all()
    assert np.isnan(found.p_values()).all()


def test_the_covariance_agrees_with_contrasts() -> None:
    curves = LogMeans.of(paired(both(noise(0.1, 6, 8)) * np.exp(noise(0.3, 6, 1))))
    covariance = curves.covariance()
    assert (np.linalg.eigvalsh(covariance) > -1e-15).all()
    variance = (RATIO @ covariance @ RATIO.T).item()
    assert variance >= curves.contrasts(RATIO).se[0] ** 2 * (1 - 1e-9)

"""Least squares of many curves at once."""

from __future__ import annotations

import numpy as np
import pytest

from medscale.laws.families import FAMILIES, Family
from medscale.laws.fitting import fit_batch, prior

X = np.log(2.0 ** np.arange(9) / 256)
PRECISE = np.full((1, 9), 1e6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_exact_curves_are_fitted_and_continued(family: Family) -> None:
    mean, spread = prior(family, np.array([0.2]))
    truth = mean + np.random.default_rng(3).normal(0, 0.5, mean.shape) * spread
    truth[:, 0] = 0
    y, _ = family.log_error(X[None], truth)
    fitted = fit_batch(family, X[None], y, PRECISE, mean, spread * 4)
    near, beyond = X[None], np.log([[2.0, 4.0]])
    for x, tolerance in ((near, 2e-3), (beyond, 2e-2)):
        np.testing.assert_allclose(
            family.log_error(x, fitted.theta)[0],
            family.log_error(x, truth)[0],
            atol=tolerance,
        )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_batch_is_its_curves_one_by_one(family: Family) -> None:
    y = np.random.default_rng(0).normal(-0.3 * X, 0.05, (3, 9))
    x, weights = np.tile(X, (3, 1)), np.full((3, 9), 400.0)
    mean, spread = prior(family, np.array([0.2, 0.3, 0.4]))
    together = fit_batch(family, x, y, weights, mean, spread)
    for row in range(3):
        one = slice(row, row + 1)
        alone = fit_batch(family, x[one], y[one], weights[one], mean[one], spread)
        np.testing.assert_allclose(together.objective[one], alone.objective, rtol=1e-6)


def test_points_without_weight_do_not_count() -> None:
    family = FAMILIES[1]
    mean, spread = prior(family, np.array([0.3]))
    y, weights = -0.3 * X[None], PRECISE.copy()
    weights[:, -2:] = 0
    spoilt = y.copy()
    spoilt[:, -2:] = 9
    fits = [fit_batch(family, X[None], each, weights, mean, spread) for each in (y, spoilt)]
    np.testing.assert_array_equal(fits[0].theta, fits[1].theta)

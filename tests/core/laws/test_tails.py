"""Small p-values are true where trials are few."""

from __future__ import annotations

import numpy as np
from scipy import stats

from medscale.laws.tails import margin, p_values


def test_one_part_is_a_t_test() -> None:
    values, variances, df = np.array([0.7, -2.0]), np.array([[0.25, 0.16]]), np.array([[3.0, 9.0]])
    expected = 2 * stats.t.sf(np.abs(values) / np.sqrt(variances[0]), df[0])
    np.testing.assert_allclose(p_values(values, variances, df), expected)
    np.testing.assert_allclose(margin(expected, variances, df), np.abs(values))


def test_small_p_values_of_three_trials_are_true() -> None:
    generator = np.random.default_rng(0)
    count, tail = 100_000, 0.002
    df = np.array([[2.0], [24.0]])
    for share in (0.2, 0.5, 0.8):
        true = np.array([[share], [1 - share]])
        estimated = true * generator.chisquare(df, (2, count)) / df
        misses = np.abs(generator.standard_normal(count))
        false = (margin(tail, estimated, df) < misses).mean()
        assert false < tail + 3 * np.sqrt(tail / count)
        # One t distribution for both claims too much.
        total = estimated.sum(0)
        satterthwaite = total**2 / (estimated**2 / df).sum(0)
        assert (stats.t.isf(tail / 2, satterthwaite) * np.sqrt(total) < misses).mean() > 2 * false


def test_trials_that_do_not_vary_say_all() -> None:
    nothing, df = np.zeros((2, 2)), np.full((2, 2), 2.0)
    same, other = p_values(np.array([0.0, 0.1]), nothing, df)
    assert same == 1
    assert other < 1e-15
    assert np.isnan(p_values(np.ones(1), np.array([[np.nan], [0.1]]), np.ones((2, 1)))).all()

"""Holm's correction."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medscale.laws.multiplicity import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


def test_the_example_of_a_textbook() -> None:
    # 4 · 0.005, 3 · 0.01, then 2 · 0.03, and the last no less than the one before.
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_no_less_than_before_and_no_more_than_bonferroni(p_values: np.ndarray) -> None:
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(len(p_values) * p_values, 1)).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


@given(P_VALUES)
def test_a_row_without_a_test_is_no_test(p_values: np.ndarray) -> None:
    adjusted = holm(np.append(p_values, np.nan))
    np.testing.assert_array_equal(adjusted[:-1], holm(p_values))
    assert np.isnan(adjusted[-1])

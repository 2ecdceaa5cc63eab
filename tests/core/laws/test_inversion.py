"""Where a rising curve crosses zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.laws.inversion import crossing

PLACES = np.linspace(0, 10, 11)


@given(st.floats(0.2, 9.8), st.floats(0.1, 3), st.floats(0.05, 8))
def test_a_line_crosses_where_it_does(root: float, slope: float, margin: float) -> None:
    found = crossing(PLACES, slope * (PLACES - root), np.full(11, margin), preferred=5)
    assert found.place == pytest.approx(root, abs=1e-6)
    low, high = root - margin / slope, root + margin / slope
    assert found.low == (pytest.approx(low, abs=1e-6) if low > 0 else -math.inf)
    assert found.high == (pytest.approx(high, abs=1e-6) if high < 10 else math.inf)
    assert found.bound == ""


def test_beyond_the_end_there_is_a_bound() -> None:
    def at(shift: float) -> list[float | str]:
        return list(crossing(PLACES, PLACES + shift, np.full(11, 0.5), preferred=0))

    assert at(-20) == [10, 10, math.inf, ">="]
    assert at(-10.4) == [10, pytest.approx(9.9), math.inf, ">="]
    assert at(3) == [0, -math.inf, 0, "<="]
    assert at(0.2) == [0, -math.inf, pytest.approx(0.3), "<="]


@pytest.mark.parametrize(("preferred", "place"), [(0.0, 3.0), (4.0, 4.0), (9.0, 6.0)])
def test_of_a_flat_piece_the_preferred_place_is_taken(preferred: float, place: float) -> None:
    values = np.clip(PLACES - 3, None, 0) + np.clip(PLACES - 6, 0, None)
    found = crossing(PLACES, values, np.zeros(11), preferred)
    assert found.place == pytest.approx(place, abs=1e-6)
    assert [found.low, found.high] == pytest.approx([3, 6], abs=1e-6)


def test_without_margin_there_is_no_interval() -> None:
    found = crossing(PLACES, PLACES - 5, np.full(11, np.nan), preferred=0)
    assert found.place == pytest.approx(5)
    assert np.isnan([found.low, found.high]).all()


def test_where_the_margin_is_not_known_the_curve_still_rises() -> None:
    margin = np.where(PLACES > 7, np.nan, 1.0)
    near = crossing(PLACES, PLACES - 5, margin, preferred=0)
    assert [near.low, near.high] == pytest.approx([4, 6], abs=1e-6)
    assert crossing(PLACES, PLACES - 6.5, margin, preferred=0).high == math.inf


def test_one_place_is_a_curve() -> None:
    one = np.array([2.0])
    assert crossing(one, np.array([-1.0]), np.array([0.1]), preferred=0).bound == ">="
    assert crossing(one, np.array([0.0]), np.array([0.1]), preferred=0).place == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_what_has_a_margin_the_interval_is_open(sign: int) -> None:
    margin = np.where(sign * (PLACES - 5) <= 0, 0.5, np.nan)
    found = crossing(PLACES, PLACES - 5 - 2 * sign, margin, preferred=0)
    assert found.place == pytest.approx(5 + 2 * sign)
    assert found.bound == ""
    assert [found.low, found.high] == ([5, math.inf] if sign == 1 else [-math.inf, 5])

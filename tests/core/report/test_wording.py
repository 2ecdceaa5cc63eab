"""Numbers read well and stay true."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.report.wording import asked, count, counted, interval, number, score


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (12.345, "12.3"), (1234.5, "1234"), (0.000321, "0.000321"), (0, "0.00")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-6, 1e6))
def test_a_number_is_right_to_three_digits(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(("value", "text"), [(0.4, "1"), (1.4, "1"), (47.6, "48"), (148, "150")])
def test_counts(value: float, text: str) -> None:
    assert count(value) == text


@given(st.floats(1, 1e7))
def test_a_count_is_right_to_two_digits(value: float) -> None:
    assert float(count(value).replace("\u202f", "")) == pytest.approx(value, rel=0.06, abs=0.5)


def test_scores_near_one_are_not_one() -> None:
    assert [score(0.9), score(0.9981), score(1.0)] == ["0.90", "0.9981", "1.00"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9, "0.90"), (0.905, "0.905"), (0.845, "0.845"), (0.9999999, "0.9999999"), (0.0, "0.00")],
)
def test_a_score_that_was_asked_for_keeps_its_digits(value: float, text: str) -> None:
    # Targets come as errors.
    assert asked(1 - (1 - value)) == text


def test_one_of_a_thing_is_singular() -> None:
    assert [counted(number, "image") for number in ("1", "2", "1.5")] == [
        "1 image",
        "2 images",
        "1.5 images",
    ]


def test_intervals_may_be_open_or_missing() -> None:
    assert interval(9, 20, count) == " (9–20)"
    assert interval(9, math.inf, count) == " (more than 9)"
    assert interval(0, 20, count) == " (less than 20)"
    assert interval(0, math.inf) == ""
    assert interval(math.nan, math.nan) == ""

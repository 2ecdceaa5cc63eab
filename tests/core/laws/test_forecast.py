"""How answers say numbers of images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medscale.laws.families import Array
from medscale.laws.forecast import Required, format_count, format_estimate, required
from medscale.laws.measure import Measure


def ask(target: float, *, spread: float, unit: float = 1.0) -> Required:
    """Ask of error 0.5 (n / unit)^−½, known within a factor, at sizes 1 to 16 units."""

    def curve(n: Array) -> tuple[Array, Array, Array]:
        middle = 0.5 * (n / unit) ** -0.5
        return middle, middle / spread, middle * spread

    return required(
        target,
        curve,
        curve,
        sizes=unit * np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
        floor=(0.0, 0.0, 0.0),
        trusted_factor=4.0,
        following=(32, 64),
        level=0.9,
        measure=Measure(),
    )


def test_a_target_that_the_smallest_size_reaches_needs_no_number() -> None:
    answer = ask(0.9, spread=1.1)
    assert (answer.status, answer.n, answer.low, answer.high) == ("reached", 1, 1, 1)
    assert answer.sentence == (
        "error 0.9 is reached at n = 1 already, the smallest size that was run"
    )


def test_a_target_that_the_smallest_size_may_miss_has_an_interval() -> None:
    answer = ask(0.51, spread=1.5)
    assert answer.status == "reached"
    assert answer.n == 1 < answer.high
    assert answer.sentence == (
        "error 0.51 is reached at n = 1 already, the smallest size that was run "
        "(90 % interval: 1 to 2)"
    )


@pytest.mark.parametrize(("target", "said"), [(0.51, "is reached at n = 1"), (0.25, "needs about")])
def test_an_interval_may_have_no_end(target: float, said: str) -> None:
    answer = ask(target, spread=1e3)
    assert answer.high == math.inf
    assert said in answer.sentence
    assert answer.sentence.endswith("(90 % interval: 1 or more, perhaps never; add n = 32 or 64)")


def test_a_later_target_needs_a_number_as_before() -> None:
    answer = ask(0.25, spread=1.1)
    assert answer.sentence == "error 0.25 needs about n = 4 (90 % interval: 3 to 5)"


def test_sizes_that_are_shares_are_not_said_to_be_none() -> None:
    answer = ask(0.25, spread=1.1, unit=0.05)
    assert answer.sentence == "error 0.25 needs about n = 0.2 (90 % interval: 0.165 to 0.242)"
    assert "at n = 0.05 already" in ask(0.9, spread=1.1, unit=0.05).sentence


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0.05, "0.05"),
        (1 / 3, "0.333"),
        (2.5, "2.5"),
        (1.0, "1"),
        (10.4, "10"),
        (2048.0, "2048"),
        (3e7, "3e+07"),
    ],
)
def test_counts_are_written_as_people_do(n: float, text: str) -> None:
    assert format_count(n) == text


def test_estimates_are_whole_where_sizes_are() -> None:
    assert format_estimate(math.pi, np.array([1.0, 2.0])) == "3"
    assert format_estimate(math.pi, np.array([0.5, 1.0])) == "3.14"

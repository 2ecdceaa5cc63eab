"""How answers say numbers of images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medscale.laws.families import Array
from medscale.laws.forecast import (
    Required,
    advise,
    format_count,
    format_estimate,
    next_sizes,
    required,
)
from medscale.laws.measure import Measure


def ask(
    target: float, *, spread: float, unit: float = 1.0, cautious: float | None = None
) -> Required:
    """Ask of error 0.5 (n / unit)^−½, known within a factor, at sizes 1 to 16 units."""

    def curve(n: Array, spread: float = spread) -> tuple[Array, Array, Array]:
        middle = 0.5 * (n / unit) ** -0.5
        return middle, middle / spread, middle * spread

    return required(
        target,
        curve,
        lambda n: curve(n, cautious or spread),
        sizes=unit * np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
        floor=(0.0, 0.0, 0.0),
        trusted_factor=4.0,
        advice="add n = 32 or 64",
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
    answer = ask(target, spread=1e3, cautious=1.5)
    assert answer.high == math.inf
    assert said in answer.sentence
    assert answer.sentence.endswith("(90 % interval: 1 or more, perhaps never; add n = 32 or 64)")


def test_where_even_a_modest_interval_never_gets_there_no_number_is_given() -> None:
    for target in (0.51, 0.25, 0.1):
        answer = ask(target, spread=1e3)
        assert answer.status == "not_identified"
        assert math.isnan(answer.n)
        assert "it may lie beyond the floor" in answer.sentence
        assert answer.sentence.endswith("; add n = 32 or 64")


def test_beyond_trust_a_number_has_two_digits() -> None:
    answer = ask(0.0123, spread=1.1)
    assert answer.status == "not_identified"
    assert "perhaps near n = 1700;" in answer.sentence


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


@pytest.mark.parametrize(
    ("available", "following", "advice"),
    [
        (math.inf, (32, 64), "add n = 32 or 64"),
        (64, (32, 64), "add n = 32 or 64"),
        (40, (32, 40), "add n = 32 or 40"),
        (24, (24,), "add n = 24"),
        (16, (), "annotate more images than the 16 there are for training"),
    ],
)
def test_advice_names_no_size_that_cannot_be_run(
    available: float, following: tuple[float, ...], advice: str
) -> None:
    found = next_sizes(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), available)
    assert found == following
    assert advise(found, available) == advice

"""The grammar of training-set sizes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.errors import ConfigError
from medscale.sizes import format_sizes, parse_sizes


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1..256", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        ("1..100", (1, 2, 4, 8, 16, 32, 64)),
        ("10..160:x2", (10, 20, 40, 80, 160)),
        ("1..100:x10", (1, 10, 100)),
        ("1..10:+3", (1, 4, 7, 10)),
        ("1..9:+3", (1, 4, 7)),
        ("5..5", (5,)),
        ("1,5,20", (1, 5, 20)),
        ("20, 1 ,5", (1, 5, 20)),
        ("1..8,5,8,6..12:+2", (1, 2, 4, 5, 6, 8, 10, 12)),
    ],
)
def test_sizes_are_read(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "1,",
        "0",
        "0..8",
        "8..1",
        "-1",
        "1..",
        "..8",
        "1...8",
        "1..8:2",
        "1..8:x1",
        "1..8:x0",
        "1..8:+0",
        "1..8:*2",
        "1.5",
        "1 2 4",
        "1, 2 4",
        "1e3",
        "many",
        "²",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--sizes got"):
        parse_sizes(text)


def test_a_range_of_too_many_sizes_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than 10000 sizes; use a larger step"):
        parse_sizes("1..1000000:+1")


@given(st.text(alphabet="0123456789.,:x+ -a", max_size=12))
def test_any_text_gives_ascending_sizes_or_an_explanation(text: str) -> None:
    try:
        sizes = parse_sizes(text)
    except ConfigError:
        return
    assert sizes
    assert sizes[0] >= 1
    assert list(sizes) == sorted(set(sizes))


@given(st.sets(st.integers(1, 10_000), min_size=1, max_size=10))
def test_sizes_as_written_for_people_are_read_again(sizes: set[int]) -> None:
    ascending = tuple(sorted(sizes))
    assert parse_sizes(format_sizes(ascending)) == ascending


@given(st.integers(1, 50), st.integers(0, 500), st.integers(2, 5))
def test_a_factor_multiplies_up_to_the_end(first: int, extent: int, factor: int) -> None:
    last = first + extent
    sizes = parse_sizes(f"{first}..{last}:x{factor}")
    assert sizes[0] == first
    assert all(after == factor * before for before, after in pairwise(sizes))
    assert sizes[-1] <= last < sizes[-1] * factor

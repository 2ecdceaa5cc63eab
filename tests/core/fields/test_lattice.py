"""Coarse grids have the image's proportions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from medscale.fields.lattice import coarse_grid


@given(st.lists(st.integers(1, 300), min_size=2, max_size=3), st.integers(8, 64))
def test_the_coarse_grid_has_the_image_s_proportions(shape: list[int], side: int) -> None:
    grid = coarse_grid(tuple(shape), side)
    longest = max(grid)
    assert [n * longest for n in shape] == [g * max(shape) for g in grid]
    assert min(side, max(shape)) <= longest <= max(shape)

"""Determinants between the points of a grid, where cubics overshoot."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from medscale.fields.folding import least_between
from medscale.fields.interpolation import resized
from medscale.fields.jacobian import jacobian_determinant, least_determinant


def _wavy(seed: int, shape: tuple[int, ...], amplitude: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return amplitude * torch.randn(3, len(shape), *shape, generator=generator)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    amplitude=st.floats(0, 0.6),
)
def test_the_compiled_loop_finds_what_torch_does(
    seed: int, shape: tuple[int, int], amplitude: float
) -> None:
    fields = _wavy(seed, shape, amplitude)
    least, expected = least_between(fields), least_between(fields.double())
    # Which maps are looked at closely may be decided by the last digit.
    border = (expected - 0.4).abs() < 1e-4
    torch.testing.assert_close(least[~border].double(), expected[~border], atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(9, 11), (6, 5, 7)])
def test_it_is_no_more_than_on_the_image_s_grid(shape: tuple[int, ...]) -> None:
    fields = torch.cat([_wavy(seed, shape, 0.02 * (seed + 1)) for seed in range(16)])
    fine = resized(fields, tuple(6 * n for n in shape))
    on_image = jacobian_determinant(6 * fine).flatten(1).amin(1)
    folding = on_image <= 0
    assert 0 < folding.sum() < len(folding)
    assert (least_between(fields)[folding] < 0.05).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_cubic_may_fall_between_points_that_rise(dims: int) -> None:
    slopes = torch.zeros(8)
    slopes[3:6] = torch.tensor([1.0, -0.83, 1.0])
    field = torch.zeros(1, dims, *[8] * dims)
    field[:, -1] = slopes.cumsum(0)
    assert least_determinant(field) > 0.1
    assert least_between(field) < 0


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("none", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_map_has_no_determinant(dims: int, none: float) -> None:
    fields = torch.zeros(2, dims, *[5] * dims)
    fields[0].view(dims, -1)[1, 7] = none
    least = least_between(fields)
    assert not least[0] > 0
    assert least[1] == 1

"""What is compiled for the plane computes what tensors do, code by code, whatever the codes are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale_registrar_lddmm.flow import DIRECTIONS, Direction, Flow
from medscale_registrar_lddmm.geodesic import Knot, lengths, steps_for
from medscale_registrar_lddmm.metric import Metric, make_metric
from medscale_registrar_lddmm.objective import travellers, velocity_grid
from medscale_registrar_lddmm.plane import PlaneTravel
from medscale_registrar_lddmm.travel import TensorTravel, Travel, make_travel

SHAPES = pytest.mark.parametrize(
    ("shape", "frequencies"),
    [((32, 32), 14), ((256, 224), 14), ((31, 27), 13), ((20, 64), 14), ((40, 33), 5)],
)


def _metric(shape: tuple[int, ...], frequencies: int, dtype: torch.dtype = torch.float32) -> Metric:
    like = torch.zeros((), dtype=dtype)
    return make_metric(shape, frequencies, (0.07, 0.14, 0.28), (0.2, 0.3, 0.5), like)


def _both(metric: Metric, shape: tuple[int, ...]) -> tuple[Travel, Travel]:
    """Return what is compiled, and what it has to agree with."""
    flow = Flow(metric, travellers(shape), velocity_grid(shape), shape)
    return PlaneTravel(metric, flow.points, flow.samples), TensorTravel(metric, flow)


def _codes(metric: Metric, long: list[float], seed: int = 0) -> Tensor:
    """Return codes of these lengths, mostly of low frequencies."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(long), *metric.kernel.shape, generator=generator)
    codes = noise * metric.kernel.sqrt()
    scales = torch.tensor(long) / lengths(codes)
    return codes * scales.view(-1, 1, 1, 1)


def _pixels(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    return field * max(shape) / 2


@pytest.mark.parametrize("direction", DIRECTIONS)
@SHAPES
def test_points_go_where_tensors_take_them(
    shape: tuple[int, ...], frequencies: int, direction: Direction
) -> None:
    metric = _metric(shape, frequencies)
    compiled, tensors = _both(metric, shape)
    codes = _codes(metric, [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.4])
    steps = torch.tensor([2, 2, 3, 4, 4, 8, 8])
    ours, theirs = (
        _pixels(travel.shoot(codes, steps).carry(direction), shape)
        for travel in (compiled, tensors)
    )
    off = (ours - theirs).abs().flatten(1).amax(1)
    assert float(theirs[1:].abs().flatten(1).amax(1).min()) > 0.1
    assert float(off[:5].max()) < 1e-4
    assert float(off.max()) < 1e-3


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.0, 0.25, width=32), min_size=1, max_size=11), st.integers(0, 2**16))
def test_any_codes_go_where_tensors_take_them(long: list[float], seed: int) -> None:
    shape = (32, 28)
    metric = _metric(shape, 14)
    codes = _codes(metric, long, seed)
    steps = steps_for(codes, metric, 2)
    ours, theirs = (
        _pixels(travel.shoot(codes, steps).carry("backward"), shape)
        for travel in _both(metric, shape)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_no_code_depends_on_its_company(count: int) -> None:
    shape = (32, 32)
    metric = _metric(shape, 14)
    compiled, _ = _both(metric, shape)
    codes = _codes(metric, [0.02, 0.3, 0.1, 0.05, 40.0, 0.2, 0.0, 0.15, 0.01][:count])
    if count > 3:
        codes[3] = math.nan
    steps = steps_for(codes, metric, 2)
    journey = compiled.shoot(codes, steps)
    for direction in DIRECTIONS:
        together = journey.carry(direction)
        assert together.shape == (count, 2, 32, 32)
        for row in range(count):
            one = slice(row, row + 1)
            alone = compiled.shoot(codes[one], steps[one])
            assert torch.equal(alone.sound, journey.sound[one])
            assert torch.equal(alone.carry(direction), together[one])


@SHAPES
def test_what_is_no_geodesic_moves_nothing(shape: tuple[int, ...], frequencies: int) -> None:
    metric = _metric(shape, frequencies)
    codes = _codes(metric, [0.1, 0.1, 0.1, 0.1, 30.0, 1e6, 1e20, 3e38])
    codes[1] = math.nan
    codes[2] = math.inf
    codes[3, 1, 0, 0] = -math.inf
    steps = torch.full((len(codes),), 3)
    compiled, tensors = (travel.shoot(codes, steps) for travel in _both(metric, shape))
    assert compiled.sound.tolist() == [True, *[False] * 7]
    assert torch.equal(compiled.sound, tensors.sound)
    for direction in DIRECTIONS:
        field = compiled.carry(direction)
        assert field.isfinite().all()
        assert field[0].any()
        assert not field[1:].any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_beyond_the_border_the_velocity_is_that_of_the_border(direction: Direction) -> None:
    # No geodesic goes there; too long a step along one does.
    shape = (32, 28)
    metric = _metric(shape, 14)
    flow = Flow(metric, travellers(shape), velocity_grid(shape), shape)
    compiled = PlaneTravel(metric, flow.points, flow.samples)
    momenta = torch.stack([_codes(metric, [9.0], seed) for seed in range(3)], dim=1)
    rates = torch.zeros_like(momenta)
    path = [Knot(momenta[:, number], rates[:, number]) for number in range(3)]
    theirs = flow.carry(path, direction)
    assert float(theirs.abs().max()) > 2
    ours = compiled.carry(momenta.numpy(), rates.numpy(), np.array([2]), direction)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e38])
def test_nothing_is_read_outside_the_memory(value: float) -> None:
    # Would be a crash, or numbers from elsewhere.
    metric = _metric((32, 28), 14)
    compiled = PlaneTravel(metric, (32, 28), (64, 56))
    momenta = np.full((2, 4, 2, *metric.counts), value, np.float32)
    momenta[1] = 0
    moved = compiled.carry(momenta, np.zeros_like(momenta), np.array([3, 3]), "forward")
    assert not moved[0].isfinite().all()
    assert not moved[1].any()


@pytest.mark.parametrize(
    ("shape", "frequencies", "dtype", "expected"),
    [
        ((48, 40), 14, torch.float32, PlaneTravel),
        ((512, 512), 6, torch.float32, PlaneTravel),
        ((48, 40), 14, torch.float64, TensorTravel),
        ((48, 40), 15, torch.float32, TensorTravel),
        ((20, 16, 18), 6, torch.float32, TensorTravel),
    ],
)
def test_what_fits_is_compiled(
    shape: tuple[int, ...], frequencies: int, dtype: torch.dtype, expected: type
) -> None:
    metric = _metric(shape, frequencies, dtype)
    flow = Flow(metric, travellers(shape), velocity_grid(shape), shape)
    assert type(make_travel(metric, flow)) is expected

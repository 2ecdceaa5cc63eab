"""Shooting solves EPDiff, and the flow's map is the one that the momentum is conserved along."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, identity_grid, sample
from medscale_registrar_lddmm.flow import Flow
from medscale_registrar_lddmm.geodesic import (
    MOST_STEPS,
    Knot,
    Shooter,
    lengths,
    steps_for,
    where,
)
from medscale_registrar_lddmm.metric import Metric, apply, make_metric

BOXES = pytest.mark.parametrize(
    ("shape", "frequencies"), [((48, 40), 6), ((24, 32), 14), ((20, 16, 18), 4)]
)


def _metric(shape: tuple[int, ...], frequencies: int, dtype: torch.dtype = torch.float64) -> Metric:
    like = torch.zeros((), dtype=dtype)
    return make_metric(shape, frequencies, (0.07, 0.14, 0.28), (0.2, 0.3, 0.5), like)


def _normal(metric: Metric, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, *metric.kernel.shape, generator=generator, dtype=torch.float64)
    return noise.to(metric.kernel)


def _codes(metric: Metric, length: float, count: int = 2, seed: int = 0) -> Tensor:
    """Return smooth codes of a length: as registered ones, they are mostly low frequencies."""
    codes = _normal(metric, count, seed) * metric.kernel.sqrt()
    return codes * (length / lengths(codes)).view(-1, *[1] * (codes.ndim - 1))


def _inner(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).flatten(1).sum(1)


def _displacement(
    path: list[Knot], metric: Metric, shape: tuple[int, ...], *, backward: bool = False
) -> Tensor:
    """Return displacements (B, D, *shape) in voxels, with everything on fine grids."""
    flow = Flow(metric, shape, tuple(2 * n for n in shape), shape)
    field = flow.spread(flow.carry(path, "backward" if backward else "forward"))
    halves = field.new_tensor([n / 2 for n in shape]).view(-1, *[1] * len(shape))
    return field.flip(1) * halves


@BOXES
def test_the_rate_is_minus_the_adjoint_of_ad(shape: tuple[int, ...], frequencies: int) -> None:
    metric = _metric(shape, frequencies)
    momentum, other = _normal(metric, 3, 0), _normal(metric, 3, 1)
    # Low frequencies: products of three of these are in reach of the registrar's own grid.
    for field in (momentum, other):
        for axis, count in enumerate(metric.counts, start=2):
            field.narrow(axis, count // 2, count - count // 2).zero_()
    fine = tuple(4 * count for count in metric.counts)
    axes = range(len(shape))

    def at(coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (B, D, *S) and slopes (B, D, axis, *S)."""
        slopes = [apply(metric.basis(fine, axis), coefficients) for axis in axes]
        return apply(metric.basis(fine), coefficients), torch.stack(slopes, dim=2)

    (m, _), (v, v_slopes), (w, w_slopes) = (
        at(each) for each in (momentum, metric.kernel * momentum, other)
    )
    ad = (v_slopes * w[:, None]).sum(2) - (w_slopes * v[:, None]).sum(2)
    expected = -(m * ad).sum(1).flatten(1).mean(1)
    rate = Shooter(metric).rate(momentum)
    torch.testing.assert_close(_inner(rate, other), expected)


@BOXES
def test_the_length_is_conserved(shape: tuple[int, ...], frequencies: int) -> None:
    metric = _metric(shape, frequencies)
    shooter = Shooter(metric)
    # By every rate, even of momenta that no registration would find …
    momentum = _normal(metric, 3)
    rate = shooter.rate(momentum)
    turned = _inner(rate, metric.kernel * momentum).abs()
    assert float((turned / (rate.flatten(1).norm(dim=1) * lengths(momentum))).max()) < 1e-9
    # … and so by steps, the better the shorter.
    codes = _codes(metric, 0.15)
    drifts = []
    for steps in (4, 16):
        ends = [
            lengths(knot.momentum * metric.kernel.sqrt()) for knot in shooter.shoot(codes, steps)
        ]
        assert float((ends[0] - 0.15).abs().max()) < 1e-9
        drifts.append(float((ends[-1] - 0.15).abs().max()))
    assert drifts[0] < 0.0015
    assert drifts[1] < 0.1 * drifts[0]


@pytest.mark.parametrize(("shape", "frequencies"), [((48, 40), 10), ((20, 16, 18), 6)])
def test_momentum_is_conserved_along_the_flow(shape: tuple[int, ...], frequencies: int) -> None:
    # ⟨m(1), Dφ w ∘ φ⁻¹⟩ = ⟨m(0), w⟩ for every w: it ties rate, flow and their signs together.
    metric = _metric(shape, frequencies)
    fine = tuple(3 * n for n in shape)
    path = Shooter(metric).shoot(_codes(metric, 0.06), 8)
    voxel = torch.tensor([side / n for side, n in zip(metric.lengths, fine, strict=True)])
    moved = _displacement(path, metric, fine)
    place = identity_grid(fine, moved) + (
        moved.flip(1) * (2 / torch.tensor(fine).flip(0)).view(-1, *[1] * len(shape))
    ).movedim(1, -1)
    axes = tuple(range(2, moved.ndim))
    physical = moved * voxel.view(-1, *[1] * len(shape))
    slopes = torch.stack(torch.gradient(physical, spacing=voxel.tolist(), dim=axes), dim=2)
    identity = torch.eye(len(shape)).view(1, *[len(shape)] * 2, *[1] * len(shape))
    last = sample(apply(metric.basis(fine), path[-1].momentum), place, padding="border")
    density = (last[:, :, None] * (slopes + identity)).sum(1) * jacobian_determinant(moved)[:, None]
    expected, naive, carried = [], [], []
    for seed in range(1, 9):
        w = _normal(metric, 2, seed) * metric.kernel
        expected.append(_inner(path[0].momentum, w))
        naive.append(_inner(path[-1].momentum, w))
        carried.append((density * apply(metric.basis(fine), w)).sum(1).flatten(1).mean(1))
    truth = torch.stack(expected)
    off, changed = (
        float((torch.stack(each) - truth).norm() / truth.norm()) for each in (carried, naive)
    )
    assert changed > 0.1
    assert off < 0.25 * changed


@pytest.mark.parametrize(("shape", "frequencies"), [((48, 40), 14), ((20, 16, 18), 6)])
def test_the_flow_backwards_undoes_the_flow(shape: tuple[int, ...], frequencies: int) -> None:
    metric = _metric(shape, frequencies)
    path = Shooter(metric).shoot(_codes(metric, 0.1), 6)
    there = _displacement(path, metric, shape)
    back = _displacement(path, metric, shape, backward=True)
    assert float(there.norm(dim=1).mean()) > 0.5
    for round_trip in (compose(there, back), compose(back, there)):
        # Composing interpolates linearly, which shows in a volume of so few voxels.
        assert float(round_trip.norm(dim=1).mean()) < 0.05


@pytest.mark.parametrize(("shape", "frequencies"), [((48, 40), 10), ((20, 16, 18), 6)])
def test_the_way_back_is_a_geodesic_as_well(shape: tuple[int, ...], frequencies: int) -> None:
    # Registering B to A is to shoot −m(1), which symmetric registration relies on.
    metric = _metric(shape, frequencies)
    shooter = Shooter(metric)
    path = shooter.shoot(_codes(metric, 0.08), 8)
    returning = shooter.shoot(-path[-1].momentum * metric.kernel.sqrt(), 8)
    torch.testing.assert_close(
        returning[-1].momentum,
        -path[0].momentum,
        rtol=0,
        atol=0.002 * float(path[0].momentum.max()),
    )
    back = _displacement(path, metric, shape, backward=True)
    off = _displacement(returning, metric, shape) - back
    assert float(off.norm(dim=1).max()) < 0.01 * float(back.norm(dim=1).max())


@pytest.mark.parametrize(("side", "points"), [(128, 48), (256, 48), (64, 32)])
def test_few_travelling_points_give_the_map_of_many(side: int, points: int) -> None:
    shape = (side, 7 * side // 8)
    metric = _metric(shape, 14)
    path = Shooter(metric).shoot(_codes(metric, 0.1), 4)
    grid = (points, math.ceil(7 * points / 8))
    flows = (Flow(metric, each, (64, 56), shape) for each in (grid, shape))
    coarse, fine = (
        flow.spread(flow.carry(path, "backward"))[:, 0] * shape[1] / 2 for flow in flows
    )
    off = (coarse - fine).abs()
    assert float(off.mean()) < 0.02 * side / 128
    assert float(off.max()) < 0.5 * side / 128


# Registered hearts and hippocampi are 0.05 to 0.16 long.
@pytest.mark.parametrize("length", [0.05, 0.15, 0.3])
@pytest.mark.parametrize(("shape", "frequencies"), [((128, 112), 14), ((24, 20, 22), 8)])
def test_enough_steps_are_made(shape: tuple[int, ...], frequencies: int, length: float) -> None:
    metric = _metric(shape, frequencies, torch.float32)
    codes = _codes(metric, length, count=1)
    steps = int(steps_for(codes, metric, 3))
    fewer, more = (
        _displacement(Shooter(metric).shoot(codes, count), metric, shape, backward=True)
        for count in (steps, 4 * steps)
    )
    assert fewer.isfinite().all()
    assert float((fewer - more).norm(dim=1).mean()) < 0.05 * max(shape) / 128


def test_long_codes_take_more_steps_and_no_code_takes_endless_ones() -> None:
    metric = _metric((48, 40), 14, torch.float32)
    codes = _codes(metric, 1.0)[:1]
    scales = torch.tensor([0.0, 0.02, 0.2, 0.4, 1e3, math.inf, math.nan]).view(-1, 1, 1, 1)
    steps = steps_for(torch.cat([codes] * 7) * scales, metric, 3).tolist()
    assert steps[:2] == [3, 3]
    assert 3 < steps[2] < steps[3] <= 2 * steps[2]
    assert steps[4:] == [MOST_STEPS, MOST_STEPS, 3]
    assert all(3 <= count <= MOST_STEPS for count in steps)


def test_what_diverged_is_known_and_can_be_put_at_rest() -> None:
    metric = _metric((48, 40), 14, torch.float32)
    codes = torch.cat([_codes(metric, 0.1, count=1), _codes(metric, 30.0, count=1)])
    codes = torch.cat([codes, codes.new_full(codes[:1].shape, math.nan)])
    shooter = Shooter(metric)
    path = shooter.shoot(codes, 3)
    kept = shooter.keeps_length(path)
    assert kept.tolist() == [True, False, False]
    rested = where(kept, path)
    for before, after in zip(path, rested, strict=True):
        assert torch.equal(before.momentum[0], after.momentum[0])
        assert not after.momentum[1:].any()
        assert not after.rate[1:].any()

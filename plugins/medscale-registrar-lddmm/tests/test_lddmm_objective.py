"""The direction is the energy's gradient where deformations are small, and vanishes when found."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from medscale.testing.images import blobs
from medscale_registrar_lddmm.geodesic import Shooter
from medscale_registrar_lddmm.lbfgs import minimise
from medscale_registrar_lddmm.metric import Metric, apply, make_metric
from medscale_registrar_lddmm.objective import Objective
from medscale_registrar_lddmm.similarity import MEASURES, WEIGHTS

CASES = pytest.mark.parametrize(("shape", "frequencies"), [((32, 28), 6), ((14, 12, 13), 3)])
MEASURE = pytest.mark.parametrize("name", list(MEASURES))


def _metric(shape: tuple[int, ...], frequencies: int) -> Metric:
    like = torch.zeros((), dtype=torch.float64)
    return make_metric(shape, frequencies, (0.07, 0.14, 0.28), (0.2, 0.3, 0.5), like)


def _pair(shape: tuple[int, ...], channels: int = 2) -> tuple[Tensor, Tensor]:
    images = blobs(shape, 2, channels=channels)[0].double()
    return images[:1], images[1:]


def _objective(
    metric: Metric,
    moving: Tensor,
    fixed: Tensor,
    name: str,
    *,
    weight: float,
    symmetric: bool,
    steps: int = 3,
) -> Objective:
    return Objective(
        metric,
        moving,
        fixed,
        measure=MEASURES[name],
        weight=torch.full((len(moving),), weight, dtype=moving.dtype),
        steps=steps,
        symmetric=symmetric,
    )


def _code(metric: Metric, length: float) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, *metric.kernel.shape, generator=generator, dtype=torch.float64)
    code = torch.nn.functional.normalize((noise * metric.kernel.sqrt()).flatten(1))
    return length * code.view_as(noise)


def _slopes(image: Tensor) -> Tensor:
    """Return (B, C, D, *S) differences per voxel."""
    return torch.stack(torch.gradient(image, dim=tuple(range(2, image.ndim))), dim=2)


@pytest.mark.parametrize(
    ("shape", "name", "symmetric", "length"),
    [
        *itertools.product([(32, 28)], MEASURES, [True, False], [0.0, 0.03]),
        ((14, 12, 13), "lncc", True, 0.03),
        ((14, 12, 13), "ssd", False, 0.0),
    ],
)
def test_the_direction_is_the_gradient_of_the_energy(
    shape: tuple[int, ...], name: str, symmetric: bool, length: float
) -> None:
    frequencies = 6 if len(shape) == 2 else 3
    metric = _metric(shape, frequencies)
    moving, fixed = _pair(shape)
    code = _code(metric, length)
    size = metric.kernel.numel()
    step = 1e-4 * torch.eye(size, dtype=torch.float64).view(size, *metric.kernel.shape)
    # Much weight, so that the images decide and not the length.
    many = _objective(
        metric,
        moving.expand(2 * size, *moving.shape[1:]),
        fixed.expand(2 * size, *fixed.shape[1:]),
        name,
        weight=10,
        symmetric=symmetric,
    )
    energies, _ = many(torch.cat([code + step, code - step]))
    expected = (energies[:size] - energies[size:]) / 2e-4
    one = _objective(metric, moving, fixed, name, weight=10, symmetric=symmetric)
    direction = one(code)[1].flatten()
    cosine = float(torch.cosine_similarity(expected, direction, dim=0))
    assert cosine > (0.999 if length == 0 else 0.97)
    assert 0.85 < float(direction.norm() / expected.norm()) < 1.15


@CASES
@MEASURE
def test_the_direction_says_what_moving_at_the_start_would_change(
    name: str, shape: tuple[int, ...], frequencies: int
) -> None:
    # However long the geodesic: a velocity before it begins carries the moving image along.
    metric = _metric(shape, frequencies)
    moving, fixed = _pair(shape)
    code = _code(metric, 0.12)
    objective = _objective(metric, moving, fixed, name, weight=1, symmetric=False)
    direction = objective(code)[1] - code
    step = 1e-4
    generator = torch.Generator().manual_seed(2)
    said, seen = [], []
    for _ in range(12):
        other = torch.randn(code.shape, generator=generator, dtype=torch.float64)
        other = other * metric.kernel
        velocity = apply(metric.basis(shape), metric.kernel.sqrt() * other) * max(shape)
        energies = [
            _objective(metric, carried, fixed, name, weight=1, symmetric=False)(code)[0]
            for carried in (
                moving - sign * step * (_slopes(moving) * velocity[:, None]).sum(2)
                for sign in (1, -1)
            )
        ]
        seen.append(float(energies[0] - energies[1]) / (2 * step))
        said.append(float((direction * other).sum()))
    first, second = torch.tensor(said), torch.tensor(seen)
    assert float((first - second).norm() / second.norm()) < 0.05


@CASES
@MEASURE
def test_the_direction_vanishes_where_a_pair_is_registered(
    name: str, shape: tuple[int, ...], frequencies: int
) -> None:
    metric = _metric(shape, frequencies)
    moving, fixed = _pair(shape, 1)
    objective = _objective(metric, moving, fixed, name, weight=WEIGHTS[name], symmetric=True)
    start = torch.zeros(1, *metric.kernel.shape, dtype=torch.float64)

    def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        energy, direction = objective(points.view(-1, *start.shape[1:]))
        return energy, direction.flatten(1)

    found = minimise(start.flatten(1), evaluate, evaluations=80, first=3e-3).view_as(start)
    (before, uphill), (after, flat) = objective(start), objective(found)
    assert float(after) < 0.7 * float(before)
    assert float(flat.norm()) < 0.15 * float(uphill.norm())


@CASES
@MEASURE
def test_swapped_images_have_the_energy_of_the_way_back(
    name: str, shape: tuple[int, ...], frequencies: int
) -> None:
    metric = _metric(shape, frequencies)
    moving, fixed = _pair(shape)
    code = _code(metric, 0.06)
    path = Shooter(metric).shoot(code, 8)
    back = -path[-1].momentum * metric.kernel.sqrt()
    there, again = (
        _objective(metric, *images, name, weight=1, symmetric=True, steps=8)(each)[0]
        for images, each in (((moving, fixed), code), ((fixed, moving), back))
    )
    torch.testing.assert_close(again, there, rtol=2e-3, atol=0)


@MEASURE
def test_the_energy_counts_length_and_weight(name: str) -> None:
    metric = _metric((32, 28), 6)
    moving, fixed = _pair((32, 28))
    code = _code(metric, 0.05)
    energies = [
        float(_objective(metric, moving, fixed, name, weight=weight, symmetric=True)(code)[0])
        for weight in (1e-9, 1.0, 2.0)
    ]
    assert energies[0] == pytest.approx(0.5 * 0.05**2, rel=1e-5)
    assert energies[2] - energies[1] == pytest.approx(energies[1] - energies[0], rel=1e-5)


def test_a_geodesic_that_diverged_has_no_energy_and_harms_no_other() -> None:
    metric = _metric((32, 28), 6)
    moving, fixed = (image.expand(3, -1, -1, -1) for image in _pair((32, 28)))
    code = _code(metric, 0.05)
    codes = torch.cat([code, 1e4 * code, code])
    objective = _objective(metric, moving, fixed, "lncc", weight=1, symmetric=True)
    energies, directions = objective(codes)
    assert energies.isfinite().tolist() == [True, False, True]
    alone = _objective(metric, moving[:1], fixed[:1], "lncc", weight=1, symmetric=True)(code)
    torch.testing.assert_close(energies[2:], alone[0])
    torch.testing.assert_close(directions[2:], alone[1])

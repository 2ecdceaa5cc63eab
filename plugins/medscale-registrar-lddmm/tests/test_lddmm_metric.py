"""The basis of velocities is what it says: orthonormal, tangent to the border, exactly derived."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medscale_registrar_lddmm.metric import Metric, apply, box, half_waves, make_metric

BOXES = pytest.mark.parametrize("shape", [(48, 40), (16, 24), (20, 16, 12)])
WIDTHS, WEIGHTS = (0.07, 0.14, 0.28), (0.2, 0.3, 0.5)


def _metric(shape: tuple[int, ...], frequencies: int = 4) -> Metric:
    like = torch.zeros((), dtype=torch.float64)
    return make_metric(shape, frequencies, WIDTHS, WEIGHTS, like)


def _unit_codes(metric: Metric) -> Tensor:
    """Return every basis function as the coefficients (N, D, *counts) that give it alone."""
    size = metric.kernel.numel()
    return torch.eye(size, dtype=torch.float64).view(size, *metric.kernel.shape)


def _component(metric: Metric, index: tuple[int, ...], place: Tensor) -> Tensor:
    """Return one basis function, written out, at places (N, D) of the box.

    Args:
        metric: Of the box.
        index: Component, then the number of the half wave along each axis.
        place: Where to evaluate it.
    """
    component, *numbers = index
    value = torch.ones(len(place), dtype=torch.float64)
    for axis, number in enumerate(numbers):
        sines = axis == component
        waves = number + 1 if sines else number
        angle = math.pi * waves * place[:, axis] / metric.lengths[axis]
        wave = angle.sin() if sines else angle.cos()
        value = value * wave * (math.sqrt(2) if waves else 1.0)
    return value


def _centres(metric: Metric, points: tuple[int, ...]) -> Tensor:
    axes = [
        (torch.arange(n, dtype=torch.float64) + 0.5) / n * side
        for n, side in zip(points, metric.lengths, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


@BOXES
def test_the_longest_side_is_one_and_waves_are_equally_fine(shape: tuple[int, ...]) -> None:
    assert max(box(shape)) == 1
    waves = half_waves(shape, 12)
    assert max(waves) == 12
    for count, n in zip(waves, shape, strict=True):
        assert abs(count - 12 * n / max(shape)) < 1


@BOXES
def test_basis_functions_are_half_waves(shape: tuple[int, ...]) -> None:
    metric = _metric(shape)
    points = tuple(count + 3 for count in metric.counts)
    generator = torch.Generator().manual_seed(0)
    place = _centres(metric, points).flatten(0, -2)
    values = apply(metric.basis(points), _unit_codes(metric))
    values = values.view(*metric.kernel.shape, len(shape), -1)
    for _ in range(20):
        index = tuple(int(torch.randint(n, (), generator=generator)) for n in metric.kernel.shape)
        expected = torch.zeros(len(shape), len(place), dtype=torch.float64)
        expected[index[0]] = _component(metric, index, place)
        torch.testing.assert_close(values[index], expected)


@BOXES
def test_the_basis_is_orthonormal(shape: tuple[int, ...]) -> None:
    metric = _metric(shape)
    points = tuple(count + 1 for count in metric.counts)
    values = apply(metric.basis(points), _unit_codes(metric)).flatten(1)
    gram = values @ values.T / math.prod(points)
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64))


@BOXES
def test_derivatives_are_those_of_the_functions(shape: tuple[int, ...]) -> None:
    metric = _metric(shape)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(2, *metric.kernel.shape, generator=generator, dtype=torch.float64)
    # So fine that two neighbours on either side give the slope between them.
    points = tuple(64 * count for count in metric.counts) if len(shape) == 2 else (96,) * 3
    values = apply(metric.basis(points), codes)
    for axis, (n, side) in enumerate(zip(points, metric.lengths, strict=True)):
        slopes = apply(metric.basis(points, axis), codes)
        there, here = values.roll(-1, axis + 2), values.roll(1, axis + 2)
        expected = (there - here) * n / (2 * side)
        inside = (expected - slopes).narrow(axis + 2, 1, n - 2)
        assert float(inside.abs().max()) < 0.02 * float(slopes.abs().max())


@BOXES
def test_nothing_flows_through_the_border(shape: tuple[int, ...]) -> None:
    metric = _metric(shape)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(3, *metric.kernel.shape, generator=generator, dtype=torch.float64)
    points = 2000
    for axis in range(len(shape)):
        grid = [5] * len(shape)
        grid[axis] = points
        velocity = apply(metric.basis(grid), codes).movedim(axis + 2, 2)
        normal, rest = velocity[:, axis], velocity[:, (axis + 1) % len(shape)]
        size = float(velocity.abs().max())
        # Half a cell from the border; what flows along it is not held.
        for end in (0, -1):
            assert float(normal[:, end].abs().max()) < 0.01 * size
            assert float(rest[:, end].abs().max()) > 0.1 * size


def test_the_smoother_is_its_gaussians_fourier_transform() -> None:
    metric = _metric((48, 40))
    kernel = metric.kernel
    # The first half wave of the first component: one sine, and no cosine.
    for index in [(0, 0, 0), (0, 2, 1), (1, 3, 2)]:
        component, *numbers = index
        squared = 0.0
        for axis, (number, side) in enumerate(zip(numbers, metric.lengths, strict=True)):
            squared += (math.pi * (number + (axis == component)) / side) ** 2
        expected = sum(
            weight * math.exp(-0.5 * width**2 * squared)
            for width, weight in zip(WIDTHS, WEIGHTS, strict=True)
        )
        assert float(kernel[index]) == pytest.approx(expected)
    assert float(kernel.max()) < 1


def test_only_the_ratio_of_the_weights_counts() -> None:
    like = torch.zeros((), dtype=torch.float64)
    one, ten = (
        make_metric((32, 24), 5, WIDTHS, [factor * weight for weight in WEIGHTS], like).kernel
        for factor in (1, 10)
    )
    torch.testing.assert_close(one, ten)

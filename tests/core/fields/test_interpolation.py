"""Coarse fields are interpolated smoothly, and products of tiles are products of matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.fields.interpolation import Band, continued, cubic_weights, resized, separable


def _cells(n: int) -> Tensor:
    """Return the centres of n cells that cover [0, 1]."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def _on(shape: tuple[int, ...], powers: tuple[int, ...]) -> Tensor:
    """Return a monomial (1, 1, *shape) at the cells of a grid that covers the unit cube."""
    value = torch.ones(shape, dtype=torch.float64)
    for axis, (n, power) in enumerate(zip(shape, powers, strict=True)):
        value = value * (_cells(n) ** power).view(-1, *[1] * (len(shape) - 1 - axis))
    return value[None, None]


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(2, 3))
def test_lines_are_reproduced_up_to_the_border(data: st.DataObject, dims: int) -> None:
    coarse = tuple(data.draw(st.integers(2, 9)) for _ in range(dims))
    fine = tuple(data.draw(st.integers(n, 5 * n)) for n in coarse)
    powers = tuple(data.draw(st.integers(0, 1)) for _ in range(dims))
    torch.testing.assert_close(
        resized(_on(coarse, powers), fine), _on(fine, powers), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("shape", [(7, 9), (4, 5, 6)])
def test_lines_go_on_beyond_the_border(shape: tuple[int, ...]) -> None:
    slopes = torch.arange(1.0, len(shape) + 1)

    def plane(sides: tuple[int, ...]) -> Tensor:
        places = torch.meshgrid(*[torch.arange(n) - n / 2 for n in sides], indexing="ij")
        return sum((s * x for s, x in zip(slopes, places, strict=True)), torch.zeros(sides))[
            None, None
        ]

    wider = tuple(n + 2 for n in shape)
    torch.testing.assert_close(continued(plane(shape)), plane(wider))


def test_parabolas_are_reproduced_inside() -> None:
    coarse, fine = _on((12, 9), (2, 2)), _on((60, 72), (2, 2))
    inside = (..., slice(10, -10), slice(16, -16))
    torch.testing.assert_close(resized(coarse, (60, 72))[inside], fine[inside], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("period", "share"), [(10, 0.01), (20, 0.0011)])
def test_waves_come_out_with_a_small_error(period: float, share: float) -> None:
    coarse = torch.arange(64) + 0.5
    fine = (torch.arange(256) + 0.5) / 4
    wave = (2 * torch.pi * coarse / period).sin().view(1, 1, 64, 1).expand(1, 1, 64, 4)
    out = resized(wave, (256, 4))[0, 0, 16:-16, 0]
    error = float((out - (2 * torch.pi * fine / period).sin()[16:-16]).abs().max())
    assert share / 4 < error < share


@pytest.mark.parametrize("shape", [(7, 9), (4, 5, 6)])
def test_the_same_grid_is_left_alone(shape: tuple[int, ...]) -> None:
    field = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resized(field, shape), field)


def test_a_single_cell_is_everywhere() -> None:
    field = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(resized(field, (5, 70)), field.expand(1, 2, 5, 70))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 300))
def test_tiles_make_the_whole_matrix(seed: int, inputs: int, outputs: int) -> None:
    generator = np.random.default_rng(seed)
    places = np.sort(generator.uniform(0, inputs - 1, outputs))
    matrix = cubic_weights(places[:, None] - np.arange(inputs), -0.75)
    band = Band(matrix)
    field = torch.from_numpy(generator.normal(size=(2, 1, inputs, inputs)))
    dense = torch.from_numpy(matrix)
    expected = dense @ field @ dense.mT
    torch.testing.assert_close(separable(field, [band, band]), expected)


def test_a_row_of_zeros_gives_zero() -> None:
    matrix = np.zeros((3, 2))
    matrix[1, 0] = 1
    field = torch.ones(1, 1, 2, 2)
    expected = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(separable(field, [Band(matrix)] * 2)[0, 0], expected)
    assert not separable(field, [Band(np.zeros((3, 2)))] * 2).any()


def test_a_batch_is_its_fields_one_by_one() -> None:
    fields = torch.randn(5, 2, 12, 10, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([resized(field[None], (90, 130)) for field in fields])
    torch.testing.assert_close(resized(fields, (90, 130)), alone)


def test_what_inference_mode_prepared_is_used_outside_it() -> None:
    field = torch.rand(1, 2, 11, 13)
    with torch.inference_mode():
        before = resized(field, (37, 41)).clone()
    leaf = torch.rand(1, 2, 37, 41, requires_grad=True)
    (resized(field, (37, 41)) * leaf).sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, before)

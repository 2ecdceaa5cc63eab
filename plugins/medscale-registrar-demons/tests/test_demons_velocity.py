"""A velocity that folds is shrunk, or is no registration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medscale.fields.jacobian import folding_share
from medscale_registrar_demons.velocity import flow, without_folds

SHAPES = pytest.mark.parametrize("shape", [(32, 24), (16, 20, 14)])


def _velocity(shape: tuple[int, ...], strength: float, seed: int = 0) -> Tensor:
    """Return noise on a grid of half as many points, which folds where it is strong."""
    grid = [n // 2 for n in shape]
    generator = torch.Generator().manual_seed(seed)
    return strength * torch.randn(1, len(shape), *grid, generator=generator)


def _folds(velocity: Tensor, shape: tuple[int, ...]) -> bool:
    return any(bool(folding_share(flow(v, shape)).any()) for v in (velocity, -velocity))


def _barely_folding(shape: tuple[int, ...]) -> Tensor:
    strength = 0.001
    while not _folds(_velocity(shape, strength), shape):
        strength *= 1.05
    return _velocity(shape, strength)


@SHAPES
def test_what_does_not_fold_is_left_alone(shape: tuple[int, ...]) -> None:
    velocity = torch.cat([_velocity(shape, 0.002, seed) for seed in range(3)])
    assert torch.equal(without_folds(velocity, shape), velocity)


@SHAPES
@pytest.mark.parametrize("sign", [1, -1])  # Of one of them it is the inverse that folds.
def test_what_barely_folds_is_shrunk_a_little(shape: tuple[int, ...], sign: int) -> None:
    velocity = sign * _barely_folding(shape)
    shrunk = without_folds(velocity, shape)
    assert not _folds(shrunk, shape)
    share = float(shrunk.norm() / velocity.norm())
    assert 0.8 < share < 1
    torch.testing.assert_close(shrunk, share * velocity)


@SHAPES
def test_what_is_beyond_help_is_nan(shape: tuple[int, ...]) -> None:
    assert without_folds(_velocity(shape, 1.0), shape).isnan().all()


@SHAPES
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_nan(shape: tuple[int, ...], value: float) -> None:
    velocity = _velocity(shape, 0.002)
    velocity[0, 0, 1] = value
    assert without_folds(velocity, shape).isnan().all()


@SHAPES
def test_rows_do_not_depend_on_each_other(shape: tuple[int, ...]) -> None:
    rows = [_velocity(shape, 0.002), _barely_folding(shape), _velocity(shape, 1.0)]
    together = without_folds(torch.cat(rows), shape)
    alone = torch.cat([without_folds(row, shape) for row in rows])
    torch.testing.assert_close(together, alone, equal_nan=True)

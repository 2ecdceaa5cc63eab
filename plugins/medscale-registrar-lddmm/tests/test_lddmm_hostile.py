"""LDDMM on images that no registration was made for: nothing folds, and what is flat stays."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from lddmm_toys import lddmm, least
from torch import Tensor


def _checkers(shape: tuple[int, ...], side: int) -> Tensor:
    rows = torch.meshgrid(*(torch.arange(n) // side for n in shape), indexing="ij")
    return (sum(rows[1:], start=rows[0]) % 2).float()[None, None]


def _hostile(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Return pairs of noise, of noise on another scale, of checkerboards, and of both."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(2, 2, 1, *shape, generator=generator)
    coarse, fine = _checkers(shape, 7), _checkers(shape, 3)
    moving = torch.cat([noise[0], 1e4 * noise[0], fine, coarse, fine, coarse])
    fixed = torch.cat([noise[1], 1e4 * noise[1], coarse, fine, 1 - fine, noise[1, :1]])
    return moving, fixed


@pytest.mark.parametrize(
    ("shape", "similarity", "weight"),
    [
        *itertools.product([(48, 40)], ["lncc", "ncc"], [None, 100.0]),
        *itertools.product([(48, 40)], ["ssd"], [None, 1000.0]),
        ((16, 12, 14), "lncc", 100.0),
        ((16, 12, 14), "ssd", None),
    ],
)
def test_hostile_images_never_fold(
    shape: tuple[int, ...], similarity: str, weight: float | None
) -> None:
    moving, fixed = _hostile(shape, 0)
    options = {"frequencies": 6, "iterations": (8,)} if len(shape) == 3 else {}
    registrar = lddmm(similarity=similarity, weight=weight, **options)
    codes = registrar.register(moving=moving, fixed=fixed)
    found = codes.isfinite().flatten(1).all(1)
    assert codes[~found].isnan().all()
    assert found.any()
    for field in (registrar.displacement, registrar.inverse_displacement):
        assert least(field(codes=codes[found], shape=shape)) > 0


def test_noise_is_hardly_deformed() -> None:
    generator = torch.Generator().manual_seed(0)
    moving, fixed = torch.rand(2, 4, 1, 64, 64, generator=generator)
    registrar = lddmm()
    codes = registrar.register(moving=moving, fixed=fixed)
    field = registrar.displacement(codes=codes, shape=(64, 64))
    assert least(field) > 0.2


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "ssd"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [((48, 40), {}), ((20, 16, 18), {"frequencies": 6, "iterations": (15, 8)})],
)
def test_flat_images_stay(shape: tuple[int, ...], options: dict[str, Any], similarity: str) -> None:
    flat = torch.full((2, 1, *shape), 0.5)
    registrar = lddmm(similarity=similarity, **options)
    codes = registrar.register(moving=flat, fixed=flat)
    assert float(registrar.displacement(codes=codes, shape=shape).abs().max()) < 1e-3

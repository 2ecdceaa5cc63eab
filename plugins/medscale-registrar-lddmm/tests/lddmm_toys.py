"""Images to register, and numbers on what came of it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.config import validate
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import identity_grid, warp
from medscale.protocols import Dataset, PluginContext
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale_registrar_lddmm.config import LDDMMOptions
from medscale_registrar_lddmm.registrar import LDDMM

QUICK_3D = {"frequencies": 6, "iterations": (15, 8)}
PLANE_AND_VOLUME = pytest.mark.parametrize(
    ("shape", "options"), [((48, 40), {}), ((20, 16, 18), QUICK_3D)]
)


def lddmm(**options: Any) -> LDDMM:
    """Return the registrar."""
    return LDDMM(validate(LDDMMOptions, options, "lddmm"), PluginContext())


@lru_cache
def phantoms(size: int) -> Tensor:
    """Return (16, 1, size, size) images of different people's hearts."""
    plugin = default_registry().load("dataset", "phantom")
    options = {"subjects": 16, "size": size}
    dataset: Dataset = construct(plugin, options, "phantom", PluginContext())[0]
    images = [torch.tensor(dataset.load(case).image).float() for case in dataset.cases()]
    stacked = torch.stack(images)
    low, high = (stacked.flatten(1).quantile(q, dim=1).view(-1, 1, 1, 1) for q in (0.005, 0.995))
    return ((stacked - low) / (high - low)).clamp(0, 1)


@lru_cache
def registered_phantoms(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return moving images (one, eight times), eight fixed ones, and their codes."""
    images = phantoms(size)
    moving, fixed = images[:1].expand(8, -1, -1, -1), images[1:9]
    return moving, fixed, lddmm().register(moving=moving, fixed=fixed)


def texture(shape: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    """Return images (count, 1, *S) with structure everywhere, about eight voxels large."""
    generator = torch.Generator().manual_seed(seed)
    coarse = [max(4, n // 5) for n in shape]
    noise = torch.rand(count, 1, *coarse, generator=generator)
    return F.interpolate(noise, shape, mode="bilinear" if len(shape) == 2 else "trilinear")


def smooth(shape: tuple[int, ...], count: int, largest: float, seed: int = 0) -> Tensor:
    """Return displacements (count, D, *S) of waves that vanish at the border."""
    generator = torch.Generator().manual_seed(seed)
    place = (identity_grid(shape, torch.zeros(()))[0] + 1) / 2
    window = torch.sin(math.pi * place).prod(-1)
    phase = 6.28 * torch.rand(count, len(shape), *[1] * len(shape), generator=generator)
    turn = torch.randn(count, len(shape), len(shape), generator=generator)
    waves = torch.sin(torch.einsum("nij,...j->ni...", 3 * turn, place) + phase) * window
    highest = waves.norm(dim=1).flatten(1).amax(1).view(-1, *[1] * (len(shape) + 1))
    scaled: Tensor = largest * waves / highest
    return scaled


def middle(field: Tensor) -> Tensor:
    """Cut away the outer eighth of each side."""
    for axis in range(2, field.ndim):
        margin = field.shape[axis] // 8
        field = field.narrow(axis, margin, field.shape[axis] - 2 * margin)
    return field


def length(field: Tensor) -> float:
    """Return the mean length of displacements, voxels."""
    return float(field.norm(dim=1).mean())


def least(field: Tensor) -> float:
    """Return the least det of the map's gradient."""
    return float(jacobian_determinant(field).min())


def remaining(moving: Tensor, fixed: Tensor, field: Tensor) -> float:
    """Return the squared difference after registration as a share of that before."""
    before, after = ((image - fixed).square() for image in (moving, warp(moving, field)))
    return float(middle(after).mean() / middle(before).mean())

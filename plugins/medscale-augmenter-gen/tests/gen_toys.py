"""A registrar that takes no time, and pools for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medscale.config import validate
from medscale.protocols import Batch, PluginContext, PoolView, UsedPlugin
from medscale.testing.images import blobs
from medscale_augmenter_gen.augmenter import GenDA
from medscale_augmenter_gen.config import GenOptions

COUNT = 8
SHAPE = (24, 16)
OPEN = {
    "least_gain": -2,
    "least_similarity": -1,
    "least_jacobian": -1e6,
    "largest_jacobian": 1e6,
    "largest_length": 1e6,
    "largest_pull": 1e6,
}
"""A gate that lets everything through."""

TRAINING = {"iterations": 60, "least_spread": 0.1, "batch_size": 16}


class Quadrants:
    """Codes are differences of brightness in the four quarters; waves carry them out."""

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        def quarters(images: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(images.mean(1), (2, 2)).flatten(1)

        return quarters(moving) - quarters(fixed)

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        y, x = (math.pi * (torch.arange(n) + 0.5) / n for n in shape)
        waves = torch.stack(
            [
                torch.stack([torch.sin(y)[:, None].expand(shape), torch.zeros(shape)]),
                torch.stack([torch.zeros(shape), torch.sin(x)[None].expand(shape)]),
                torch.stack([torch.sin(y)[:, None] * torch.cos(x), torch.zeros(shape)]),
                torch.stack([torch.zeros(shape), torch.cos(y)[:, None] * torch.sin(x)]),
            ]
        )
        return 0.5 * max(shape) * torch.tensordot(codes, waves, dims=1)


def pool(subset: Iterable[int] = (0, 1, 2), *, images: Tensor | None = None) -> PoolView:
    """Return a pool whose rows are numbered from 100."""
    if images is None:
        images = blobs(SHAPE, COUNT)[0]
    held, subset = images, tuple(subset)
    return PoolView(
        take=lambda positions: held[list(positions)],
        indices=torch.arange(100, 100 + len(held)),
        names=tuple(f"case{number}" for number in range(len(held))),
        subset=subset,
        masks=torch.zeros(len(subset), 1, *SHAPE),
        positions=torch.full((len(held),), math.nan),
        content="",
        seed=0,
    )


def gen(folder: Path, *, log: Any = print, progress: Any = None, **options: Any) -> GenDA:
    """Return the augmenter, quick to train."""
    given = {"alignment": "none", "gate": OPEN} | options
    given["training"] = TRAINING | given.get("training", {})
    context = PluginContext(
        cache=folder,
        log=log,
        progress=progress or (lambda what, share: None),
        uses={"registrar": UsedPlugin(plugin=Quadrants(), identity={"name": "quadrants"})},
    )
    return GenDA(validate(GenOptions, given, "gen"), context)


def batch(numbers: Iterable[int]) -> Batch:
    """Return images of the pool."""
    chosen = list(numbers)
    images, masks = blobs(SHAPE, COUNT)
    return Batch(images[chosen], masks[chosen], torch.tensor([100 + number for number in chosen]))


def fields(augmenter: GenDA, numbers: Iterable[int], seed: int = 0) -> Tensor:
    """Return sampled displacements."""
    return augmenter.displacements(batch(numbers), torch.Generator().manual_seed(seed))

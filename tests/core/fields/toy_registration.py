"""A registrar whose codes say which pair they are of; as a program, it fills a store.

    python toy_registration.py FOLDER SECONDS

fills FOLDER with every pair, slowly, and talks with whoever started it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medscale.fields.registration import PairRegistration
from medscale.identity import array_key
from medscale.protocols import PoolView, UsedPlugin

COUNT = 12
SHAPE = (2 * COUNT + 4, 16)


def spots(count: int = COUNT, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Return images (count, 1, *shape) of one bright spot, each at a place of its own."""
    images = torch.zeros(count, 1, *shape)
    for number in range(count):
        images[number, 0, 2 * number + 2, 3 + number % 9] = 1.0
    return images


def number_of(images: Tensor) -> list[int]:
    """Return which of the spots each image shows."""
    return [(int(row) - 2) // 2 for row in images.sum((1, 3)).argmax(1)]


def centres(images: Tensor) -> Tensor:
    """Return (B, D) centres of mass as shares of the image's sides."""
    mass = images.sum(1)
    place = torch.stack(
        torch.meshgrid(*[torch.arange(n) / n for n in images.shape[2:]], indexing="ij")
    )
    return (mass[:, None] * place).flatten(2).sum(2) / mass.flatten(1).sum(1, keepdim=True)


class Centres:
    """Shifts centre onto centre; a code holds both, (2, D), so it shows whose it is."""

    def __init__(self, seconds: float = 0.0, spoilt: Mapping[tuple[int, int], float] = {}) -> None:
        self.seconds = seconds
        self.spoilt = spoilt
        self.seen: list[tuple[int, int]] = []

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        time.sleep(self.seconds)
        codes = torch.stack([centres(moving), centres(fixed)], dim=1)
        pairs = list(zip(number_of(moving), number_of(fixed), strict=True))
        self.seen += pairs
        for row, pair in enumerate(pairs):
            codes[row] = codes[row] * self.spoilt.get(pair, 1.0)
        return codes

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        shift = (codes[:, 0] - codes[:, 1]) * torch.tensor(shape)
        return shift.view(*shift.shape, *[1] * len(shape)).expand(*shift.shape, *shape).clone()


def view_of(images: Tensor) -> PoolView:
    """Return a pool of these images, all of them annotated."""
    count = len(images)
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(100, 100 + count),
        names=tuple(f"spot{number}" for number in range(count)),
        subset=tuple(range(count)),
        masks=torch.zeros_like(images),
        positions=torch.full((count,), math.nan),
        content=array_key(images.numpy()),
        seed=0,
    )


def registration(
    folder: Path,
    registrar: Centres | None = None,
    options: Mapping[str, Any] | None = None,
    alignment: Any = "none",
) -> PairRegistration:
    """Return the registration of a toy, with a store in that folder."""
    return PairRegistration(
        registrar=UsedPlugin(
            plugin=registrar or Centres(),
            identity={"name": "centres", "behavior": 1, "options": dict(options or {})},
        ),
        alignment=alignment,
        folder=folder,
        device="cpu",
    )


def everything(count: int = COUNT) -> dict[int, list[int]]:
    """Return every pair, as a wish."""
    return {
        source: [target for target in range(count) if target != source] for source in range(count)
    }


def main(folder: Path, seconds: float) -> None:
    """Fill a store as soon as a line comes in; print what is done, then what this process made."""
    torch.set_num_threads(1)
    print("ready", flush=True)
    sys.stdin.readline()
    made = registration(folder, Centres(seconds)).fill(
        view_of(spots()), everything(), lambda done, total: print(f"{done}/{total}", flush=True)
    )
    print(f"made {made}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

"""RegDA: training images deformed along geodesics to other people's anatomy.

Each training image is registered to other images; what that gives are codes, points of a vector
space attached to the training image. A sample deforms it by a random convex combination of a few of
its codes, some way along (Chu et al. 2025, section 3.2, which follows Shen et al. 2020).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medscale.fields.codes import (
    displaced,
    in_words,
    sound_displacements,
    undisplaced,
    usable_codes,
)
from medscale.fields.lattice import coarse_grid
from medscale.fields.registration import PairRegistration, Wanted
from medscale.fields.targets import target_orders
from medscale.training.deformation import deform
from medscale_augmenter_reg.config import RegOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from medscale.fields.quality import Gate
    from medscale.protocols import Batch, PluginContext, PoolView


class RegDA:
    """A distribution over deformations towards other images."""

    def __init__(self, config: RegOptions, context: PluginContext) -> None:
        self._config = config
        self._log = context.log
        self._progress = context.progress
        self.registration = PairRegistration.of(config, context)
        self._codes = torch.empty(0)
        # Which of them belong to a cohort row.
        self._own: dict[int, range] = {}
        self._facts: dict[str, Any] = {}

    @property
    def gate(self) -> Gate:
        """Which registrations are used."""
        return self._config.gate

    def wanted(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return the targets of each source, as places in the pool."""
        return self._wanted(view, self._orders(view, sources))

    def _wanted(self, view: PoolView, orders: Wanted) -> Wanted:
        return {source: self._targets(view, order) for source, order in orders.items()}

    def _orders(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return the images that each source may be registered to, the best first."""
        subset = self._config.targets == "subset"
        candidates = view.subset if subset else range(len(view.indices))
        return target_orders(view, sources, candidates, window=self._config.window)

    def _targets(self, view: PoolView, order: Sequence[int]) -> list[int]:
        """Return the targets that a source is deformed towards, of those in order."""
        annotated = set(view.subset) if self._config.targets == "external" else set()
        allowed = [target for target in order if target not in annotated]
        return allowed[: self._config.targets_per_source]

    def fit(self, view: PoolView) -> None:
        """Register the training subset, or read what is stored, and gate what is no good."""
        orders = self._orders(view, view.subset)
        wanted = self._wanted(view, orders)
        pairs = self.registration.obtain(view, wanted, orders, self._progress)
        usable, turned_away = usable_codes(pairs, self._config.gate)
        self._own, count = {}, 0
        for source, codes in usable.items():
            if len(codes):
                self._own[int(view.indices[source])] = range(count, count + len(codes))
                count += len(codes)
        every = [codes for codes in usable.values() if len(codes)] or [torch.empty(0)]
        self._codes = torch.cat(every).to(self.registration.device)
        self._facts = {
            "pairs": sum(map(len, wanted.values())),
            "used": count,
            "images without a deformation": len(view.subset) - len(self._own),
            "turned away": turned_away,
        }
        if len(self._own) < len(view.subset):
            self._log(
                f"reg leaves {len(view.subset) - len(self._own)} of {len(view.subset)} training "
                f"images undeformed: no registration of theirs is usable (turned away: "
                f"{in_words(turned_away)})"
            )

    def describe(self) -> Mapping[str, Any]:
        """Return how many registrations are in use, and why others are not."""
        return self._facts

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return (B, D, *G) displacements in pixels of the image, G as in `coarse_grid`.

        Zero where a sample is left alone; where all are, the field is a single zero. None folds
        (`sound_displacements`).
        """
        chosen, codes = self._draw(batch.indices.tolist(), generator)
        if not chosen:
            return undisplaced(batch)
        grid = coarse_grid(tuple(batch.images.shape[2:]), self._config.grid)
        displace = partial(self.registration.displacement, grid=grid)
        return displaced(batch, chosen, sound_displacements(displace, codes))

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Warp images linearly and masks with threshold ½; zero outside."""
        return deform(batch, self.displacements(batch, generator))

    def _draw(self, rows: list[int], generator: torch.Generator) -> tuple[list[int], Tensor]:
        """Return which samples are deformed, and the code of each."""
        config = self._config
        # As many numbers for every sample, used or not: what is left alone, by chance or by the
        # gate, shifts nobody's stream. Only `targets_per_source` says how many.
        count = config.targets_per_source
        numbers = torch.rand(len(rows), 3 + 2 * count, generator=generator).numpy()
        own = [self._own.get(row, range(0)) for row in rows]
        able = np.array([len(codes) for codes in own])
        chosen = np.flatnonzero((numbers[:, 0] < config.prob) & (able > 0))
        if not len(chosen):
            return [], self._codes[:0]
        (_, extent, some), able = numbers[chosen, :3].T, able[chosen]
        lots, weights = numbers[chosen, 3 : 3 + count], numbers[chosen, 3 + count :]
        # The first of an image's codes, by lot; places beyond them come last.
        most = min(config.mix, count)
        places = np.where(np.arange(count) < able[:, None], lots, 1).argsort(1, kind="stable")
        used = np.arange(most) < np.minimum(able, 1 + (some * config.mix).astype(int))[:, None]
        # Exponential numbers, normalised, are uniform on the simplex: Dirichlet(1, …, 1).
        shares = np.where(used, -np.log1p(-weights[:, :most]), 0)
        extents = config.extent_min + (config.extent_max - config.extent_min) * extent
        shares *= (extents / np.maximum(shares.sum(1), 1e-12))[:, None]
        # Where less is combined, nothing of the first code.
        first = np.array([own[sample].start for sample in chosen.tolist()])[:, None]
        codes = self._codes[torch.from_numpy(np.where(used, first + places[:, :most], 0))]
        by = torch.from_numpy(shares).to(codes)
        combined = (codes * by.view(*by.shape, *[1] * (codes.ndim - 2))).sum(1)
        return chosen.tolist(), combined

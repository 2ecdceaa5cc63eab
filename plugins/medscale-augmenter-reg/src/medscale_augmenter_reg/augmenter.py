"""RegDA: training images deformed along geodesics to other people's anatomy.

Each training image is registered to other images; what that gives are codes, points of a vector
space attached to the training image. A sample deforms it by a random convex combination of a few of
its codes, some way along (Chu et al. 2025, section 3.2, which follows Shen et al. 2020).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medscale.fields.lattice import coarse_grid
from medscale.fields.registration import PairRegistration, Wanted
from medscale.fields.targets import rank_targets
from medscale.fields.warp import warp
from medscale.training.augmentation import at_shape
from medscale_augmenter_reg.config import RegOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from medscale.fields.quality import Gate
    from medscale.protocols import Batch, PluginContext, PoolView, Registrar


_LARGEST_BLOCK = 32
"""Pairs that are registered together at most."""


class RegDA:
    """A distribution over deformations towards other images."""

    def __init__(self, config: RegOptions, context: PluginContext) -> None:
        self._config = config
        self._log = context.log
        self._progress = context.progress
        self._registrar: Registrar = context.uses["registrar"].plugin
        self._device = context.device
        self.registration = PairRegistration(
            registrar=context.uses["registrar"],
            alignment=config.alignment,
            folder=context.cache / "fields",
            device=context.device,
            block=min(config.targets_per_source, _LARGEST_BLOCK),
        )
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

    def _blocks(self, orders: Wanted, wanted: Wanted) -> Wanted:
        """Return whole blocks of each source's order, as far as it needs them.

        So the same pairs are registered together whichever subset is annotated.
        """
        size = self.registration.block
        blocks: dict[int, Sequence[int]] = {}
        for source, order in orders.items():
            needed = [order.index(target) + 1 for target in wanted[source]]
            blocks[source] = order[: size * math.ceil(max(needed, default=0) / size)]
        return blocks

    def _orders(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return the images that each source may be registered to, the best first."""
        subset = self._config.targets == "subset"
        candidates = view.subset if subset else range(len(view.indices))
        keys, positions = view.keys, view.positions.tolist()
        window = self._config.window
        return {
            source: rank_targets(source, candidates, keys=keys, positions=positions, window=window)
            for source in sources
        }

    def _targets(self, view: PoolView, order: Sequence[int]) -> list[int]:
        """Return the targets that a source is deformed towards, of those in order."""
        annotated = set(view.subset) if self._config.targets == "external" else set()
        allowed = [target for target in order if target not in annotated]
        return allowed[: self._config.targets_per_source]

    def fit(self, view: PoolView) -> None:
        """Register the training subset, or read what is stored, and gate what is no good."""
        orders = self._orders(view, view.subset)
        wanted = self._wanted(view, orders)
        self.registration.fill(view, self._blocks(orders, wanted), self._registering)
        pairs = self.registration.read(view, wanted)
        reasons: Counter[str] = Counter()
        usable_codes: list[Tensor] = []
        self._own, count = {}, 0
        for source, found in pairs.items():
            usable = ~found.failed
            reasons["failed"] += int(found.failed.sum())
            quality = {name: numbers[usable] for name, numbers in found.quality.items()}
            reasons.update(self._config.gate.reasons(quality))
            kept = found.codes[usable][self._config.gate.passes(quality)]
            if len(kept):
                usable_codes.append(torch.from_numpy(kept))
                self._own[int(view.indices[source])] = range(count, count + len(kept))
                count += len(kept)
        self._codes = torch.cat(usable_codes or [torch.empty(0)]).to(self._device)
        self._facts = {
            "pairs": sum(map(len, wanted.values())),
            "used": count,
            "images without a deformation": len(view.subset) - len(self._own),
            "turned away": {name: count for name, count in sorted(reasons.items()) if count},
        }
        if len(self._own) < len(view.subset):
            self._log(
                f"reg leaves {len(view.subset) - len(self._own)} of {len(view.subset)} training "
                f"images undeformed: no registration of theirs is usable ({self._facts})"
            )

    def _registering(self, done: int, total: int) -> None:
        if total:
            self._progress("registration", done / total)

    def describe(self) -> Mapping[str, Any]:
        """Return how many registrations are in use, and why others are not."""
        return self._facts

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return (B, D, *G) displacements in pixels of the image, G as in `coarse_grid`.

        Zero where a sample is left alone; where all are, the field is a single zero. Codes from
        which the registrar gets no map, too far extrapolated for one, leave their sample alone too.
        """
        shape = tuple(batch.images.shape[2:])
        count, dims = len(batch.images), len(shape)
        rows = batch.indices.tolist()
        chosen, mixed = self._draw(rows, generator)
        if not chosen:
            return batch.images.new_zeros(count, dims, *[1] * dims)
        grid = coarse_grid(shape, self._config.grid)
        field = batch.images.new_zeros(count, dims, *grid)
        moved = self._registrar.displacement(codes=mixed, shape=grid)
        usable = moved.isfinite().flatten(1).all(1).view(-1, *[1] * (dims + 1))
        moved = torch.where(usable, moved, 0)
        scale = moved.new_tensor([n / g for n, g in zip(shape, grid, strict=True)])
        field[chosen] = (moved * scale.view(-1, *[1] * dims)).to(field)
        return field

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Warp images linearly and masks with threshold ½; zero outside."""
        field = at_shape(self.displacements(batch, generator), tuple(batch.images.shape[2:]))
        return batch.replace(
            images=warp(batch.images, field),
            masks=(warp(batch.masks, field) >= 0.5).to(batch.masks.dtype),
        )

    def _draw(self, rows: list[int], generator: torch.Generator) -> tuple[list[int], Tensor]:
        """Return which samples are deformed, and the code of each."""
        config = self._config
        # As many numbers for every sample, used or not: what is left alone, by chance or by the
        # gate, shifts nobody's stream. Only `targets_per_source` says how many.
        chance, extent, some = torch.rand(len(rows), 3, generator=generator).numpy().T
        lots = torch.rand(len(rows), config.targets_per_source, generator=generator).numpy()
        weights = torch.rand(len(rows), config.targets_per_source, generator=generator).numpy()
        extents = config.extent_min + (config.extent_max - config.extent_min) * extent
        # Exponential numbers, normalised, are uniform on the simplex: Dirichlet(1, …, 1).
        shares = -np.log1p(-weights)
        chosen: list[int] = []
        # Places and shares of what is combined, with nothing of the first code where less is.
        most = min(config.mix, config.targets_per_source)
        places = np.zeros((len(rows), most), dtype=np.int64)
        parts = np.zeros((len(rows), most), dtype=np.float32)
        for sample, row in enumerate(rows):
            own = self._own.get(row)
            if own is None or chance[sample] >= config.prob:
                continue
            number = min(len(own), 1 + int(some[sample] * config.mix))
            share = shares[sample, :number]
            places[sample, :number] = own.start + lots[sample, : len(own)].argsort()[:number]
            parts[sample, :number] = share * (extents[sample] / max(share.sum(), 1e-12))
            chosen.append(sample)
        if not chosen:
            return chosen, self._codes[:0]
        codes = self._codes[torch.from_numpy(places[chosen]).to(self._codes.device)]
        by = torch.from_numpy(parts[chosen]).to(codes)
        return chosen, (codes * by.view(*by.shape, *[1] * (codes.ndim - 2))).sum(1)

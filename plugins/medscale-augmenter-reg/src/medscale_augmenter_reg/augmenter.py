"""RegDA: training images deformed along geodesics to other people's anatomy.

Each training image is registered to other images; what that gives are codes, points of a vector
space attached to the training image. A sample deforms it by a random convex combination of a few of
its codes, some way along (Chu et al. 2025, section 3.2, which follows Shen et al. 2020).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

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
        self._registrar: Registrar = context.uses["registrar"].plugin
        self._device = context.device
        self.registration = PairRegistration(
            registrar=context.uses["registrar"],
            alignment=config.alignment,
            folder=context.cache / "fields",
            device=context.device,
            block=min(config.targets_per_source, _LARGEST_BLOCK),
        )
        self._codes: dict[int, Tensor] = {}
        self._facts: dict[str, Any] = {}

    @property
    def gate(self) -> Gate:
        """Which registrations are used."""
        return self._config.gate

    def wanted(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return the targets of each source, as places in the pool."""
        return {source: self._targets(view, self._order(view, source)) for source in sources}

    def _blocks(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return whole blocks of each source's order, as far as it needs them.

        So the same pairs are registered together whichever subset is annotated.
        """
        size = self.registration.block
        blocks: dict[int, list[int]] = {}
        for source in sources:
            order = self._order(view, source)
            needed = [order.index(target) + 1 for target in self._targets(view, order)]
            blocks[source] = order[: size * math.ceil(max(needed, default=0) / size)]
        return blocks

    def _order(self, view: PoolView, source: int) -> list[int]:
        """Return the images that a source may be registered to, the best first."""
        subset = self._config.targets == "subset"
        candidates = view.subset if subset else range(len(view.indices))
        return rank_targets(
            source,
            candidates,
            keys=view.keys,
            positions=view.positions.tolist(),
            window=self._config.window,
        )

    def _targets(self, view: PoolView, order: Sequence[int]) -> list[int]:
        """Return the targets that a source is deformed towards, of those in order."""
        annotated = set(view.subset) if self._config.targets == "external" else set()
        allowed = [target for target in order if target not in annotated]
        return allowed[: self._config.targets_per_source]

    def fit(self, view: PoolView) -> None:
        """Register the training subset, or read what is stored, and gate what is no good."""
        self.registration.fill(view, self._blocks(view, view.subset))
        wanted = self.wanted(view, view.subset)
        pairs = self.registration.read(view, wanted)
        reasons: Counter[str] = Counter()
        self._codes = {}
        for source, found in pairs.items():
            usable = ~found.failed
            reasons["failed"] += int(found.failed.sum())
            quality = {name: numbers[usable] for name, numbers in found.quality.items()}
            reasons.update(self._config.gate.reasons(quality))
            kept = found.codes[usable][self._config.gate.passes(quality)]
            if len(kept):
                codes = torch.from_numpy(kept).to(self._device)
                self._codes[int(view.indices[source])] = codes
        self._facts = {
            "pairs": sum(map(len, wanted.values())),
            "used": sum(map(len, self._codes.values())),
            "images without a deformation": len(view.subset) - len(self._codes),
            "turned away": {name: count for name, count in sorted(reasons.items()) if count},
        }
        if len(self._codes) < len(view.subset):
            self._log(
                f"reg leaves {len(view.subset) - len(self._codes)} of {len(view.subset)} training "
                f"images undeformed: no registration of theirs is usable ({self._facts})"
            )

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
        moved = self._registrar.displacement(codes=torch.stack(mixed), shape=grid)
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

    def _draw(self, rows: list[int], generator: torch.Generator) -> tuple[list[int], list[Tensor]]:
        """Return which samples are deformed, and the code of each."""
        config = self._config
        # As many numbers for every sample, used or not: what is left alone, by chance or by the
        # gate, shifts nobody's stream. Only `targets_per_source` says how many.
        chance, extent, some = torch.rand(len(rows), 3, generator=generator).unbind(1)
        lots = torch.rand(len(rows), config.targets_per_source, generator=generator)
        weights = torch.rand(len(rows), config.targets_per_source, generator=generator)
        extents = config.extent_min + (config.extent_max - config.extent_min) * extent
        chosen: list[int] = []
        mixed: list[Tensor] = []
        for sample, row in enumerate(rows):
            codes = self._codes.get(row)
            if codes is None or float(chance[sample]) >= config.prob:
                continue
            number = min(len(codes), 1 + int(some[sample] * config.mix))
            picked = lots[sample, : len(codes)].argsort()[:number]
            # Exponential numbers, normalised, are uniform on the simplex: Dirichlet(1, …, 1).
            share = -torch.log1p(-weights[sample, :number])
            share = share / share.sum().clamp_min(1e-12) * extents[sample]
            chosen.append(sample)
            mixed.append(torch.tensordot(share.to(codes), codes[picked.to(codes.device)], dims=1))
        return chosen, mixed


def coarse_grid(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Return the smallest grid of an image's exact proportions that is `side` or more long.

    In a box of nearly those proportions a code would be another deformation, or none: `lddmm` has
    as many frequencies along an axis as the axis is long. It is the image's own grid where only
    that has them.
    """
    parts = math.gcd(*shape)
    times = min(parts, -(-side * parts // max(shape)))
    return tuple(n // parts * times for n in shape)

"""Registering pairs of a pool, into the field store and out of it.

For each source (moving image) the fixed images are first brought into its pose, by image evidence
alone (`alignment`); what is registered, stored and used is the deformation that is left. Each pair
is stored with numbers on its quality that need no label (`quality`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from medscale.fields.alignment import Kind, align, resample
from medscale.fields.options import RegistrationOptions
from medscale.fields.quality import pair_quality
from medscale.fields.store import FieldStore, Pairs
from medscale.protocols import PluginContext, PoolView, Registrar, UsedPlugin

REGISTRATION_VERSION = 1
"""Raised when the same registrar's codes of the same pairs, or their quality, become others.

The `behavior` of the augmenters that use them goes up with it, as that is what trials are named by.
"""

_LARGEST_BLOCK = 32
"""Pairs that an augmenter has registered together at most."""

_POLL_SECONDS = 0.2

Wanted = Mapping[int, Sequence[int]]
"""Targets of each source, as places in the pool."""

Progress = Callable[[int, int], None]
"""Called with the number of pairs done and their total."""


def _silent(done: int, total: int) -> None:
    """Drop progress."""


@dataclass(frozen=True, kw_only=True)
class PairRegistration:
    """How an augmenter registers pairs, and where it keeps them.

    Attributes:
        registrar: The registrar and its identity.
        alignment: How fixed images are brought into the pose of the moving one, or "none".
        folder: Of field stores.
        device: Where registration runs.
        block: Targets of one source that are registered, and stored, together.
    """

    registrar: UsedPlugin
    alignment: Kind | Literal["none"]
    folder: Path
    device: str
    block: int = 16

    @classmethod
    def of(cls, options: RegistrationOptions, context: PluginContext) -> PairRegistration:
        """Return how an augmenter with such options registers, with its store in its cache."""
        return cls(
            registrar=context.uses["registrar"],
            alignment=options.alignment,
            folder=context.cache / "fields",
            device=context.device,
            block=min(options.targets_per_source, _LARGEST_BLOCK),
        )

    def displacement(self, codes: Tensor, grid: tuple[int, ...]) -> Tensor:
        """Return the displacements (K, D, *G) of codes (K, …), in voxels of a grid G."""
        registrar: Registrar = self.registrar.plugin
        return registrar.displacement(codes=codes, shape=grid)

    def store(self, view: PoolView) -> FieldStore:
        """Return the store, open to the images of this pool alone."""
        identity: dict[str, Any] = {
            "version": REGISTRATION_VERSION,
            "registrar": self.registrar.identity,
            "alignment": self.alignment,
            "shape": list(view.take([0]).shape[2:]),  # that of the codes may depend on it
        }
        names = dict(zip(view.keys, view.names, strict=True))
        return FieldStore(self.folder, identity=identity, pool=names)

    def obtain(
        self,
        view: PoolView,
        wanted: Wanted,
        orders: Wanted,
        progress: Callable[[str, float], None],
    ) -> dict[int, Pairs]:
        """Register the wanted pairs that are missing, and return those of each source.

        Whole blocks of a source's order are registered, as far as what is wanted reaches, so that
        the same pairs are registered together whichever of them are wanted.

        Args:
            view: The pool.
            wanted: The pairs.
            orders: All that may be wanted of each source, in an order that does not depend on what
                is.
            progress: `PluginContext.progress`.

        Raises:
            StoreError: If the store is damaged.
            StorageError: If it cannot be written.
        """

        def tell(done: int, total: int) -> None:
            if total:
                progress("registration", done / total)

        self.fill(view, self._whole_blocks(wanted, orders), tell)
        return self.read(view, wanted)

    def _whole_blocks(self, wanted: Wanted, orders: Wanted) -> Wanted:
        blocks: dict[int, Sequence[int]] = {}
        for source, order in orders.items():
            needed = [order.index(target) + 1 for target in wanted[source]]
            blocks[source] = order[: self.block * math.ceil(max(needed, default=0) / self.block)]
        return blocks

    def read(self, view: PoolView, wanted: Wanted) -> dict[int, Pairs]:
        """Return the stored pairs of each source that has targets.

        Raises:
            StoreError: If a pair is missing or damaged.
        """
        store = self.store(view)
        return {
            source: store.read(view.keys[source], [view.keys[t] for t in targets])
            for source, targets in wanted.items()
            if targets
        }

    def fill(self, view: PoolView, wanted: Wanted, progress: Progress = _silent) -> int:
        """Register the pairs that are missing and store them.

        The targets of a source are registered in blocks, as they stand in the list, and always a
        whole block at once: the last digit of a code can depend on the pairs that were registered
        with it, and so it does not depend on who fills the store in which order.

        Any number of processes may fill one store: each claims the sources it works on, and waits
        at the end for those of others.

        Args:
            view: The pool.
            wanted: The pairs.
            progress: Told of the pairs in blocks that were missing, whoever makes them.

        Returns:
            How many pairs this process registered.

        Raises:
            StoreError: If the store is damaged.
            StorageError: If it cannot be written.
        """
        store = self.store(view)
        waiting = [
            (source, targets[start : start + self.block])
            for source, targets in wanted.items()
            for start in range(0, len(targets), self.block)
            if _missing(store, view, source, targets[start : start + self.block])
        ]
        total = left = sum(len(targets) for _, targets in waiting)
        made = 0
        progress(0, total)
        while waiting:
            elsewhere = []
            for source, targets in waiting:
                with store.claim(view.keys[source]) as mine:
                    # Looked at again once it is ours: somebody may have filled it before.
                    missing = _missing(store, view, source, targets)
                    if missing and not mine:
                        elsewhere.append((source, targets))
                        continue
                    if missing:
                        self._register(store, view, source, targets)
                        made += len(targets)
                left -= len(targets)
                progress(total - left, total)
            if len(elsewhere) == len(waiting):
                time.sleep(_POLL_SECONDS)
            waiting = elsewhere
        return made

    def register(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Register a batch as it is stored.

        Args:
            moving: (B, C, *S).
            fixed: (B, C, *S).

        Returns:
            Codes (B, …), the fixed images in the pose of the moving ones, and quality (B,). Where
            the registrar returned NaN or infinity, the pair failed: code and quality are NaN.
        """
        registrar: Registrar = self.registrar.plugin
        if self.alignment != "none":
            fixed = resample(fixed, align(moving, fixed, kind=self.alignment))
        codes = registrar.register(moving=moving, fixed=fixed)
        lost = ~codes.isfinite().flatten(1).all(1)
        mask = lost.view(-1, *[1] * (codes.ndim - 1))
        # What failed has no deformation to judge; zeros stand in, and are overwritten below.
        usable = codes.masked_fill(mask, 0.0)
        shape = tuple(moving.shape[2:])
        quality = pair_quality(moving, fixed, registrar.displacement(codes=usable, shape=shape))
        for numbers in quality.values():
            numbers[lost] = math.nan
        return codes.masked_fill(mask, math.nan), fixed, quality

    def _register(
        self, store: FieldStore, view: PoolView, source: int, targets: Sequence[int]
    ) -> None:
        """Register a block of pairs and store it."""
        moving = view.take([source] * len(targets)).to(self.device)
        codes, _, quality = self.register(moving, view.take(targets).to(self.device))
        store.add(
            view.keys[source],
            [view.keys[target] for target in targets],
            codes.cpu().numpy(),
            {name: numbers.cpu().numpy() for name, numbers in quality.items()},
        )


def _missing(store: FieldStore, view: PoolView, source: int, targets: Sequence[int]) -> bool:
    """Return whether a pair is wanted that nobody has tried yet."""
    return bool(store.missing(view.keys[source], [view.keys[target] for target in targets]))

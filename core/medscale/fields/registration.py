"""Registering pairs of a pool, into the field store and out of it.

For each source (moving image) the fixed images are first brought into its pose, by image evidence
alone (`alignment`); what is registered, stored and used is the deformation that is left. Each pair
is stored with numbers on its quality that need no label (`quality`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from medscale.fields.alignment import Kind, align, resample
from medscale.fields.quality import pair_quality
from medscale.fields.store import FieldStore, Pairs
from medscale.protocols import PoolView, Registrar, UsedPlugin

REGISTRATION_VERSION = 1
"""Raised when the same registrar's codes of the same pairs, or their quality, become others.

The `behavior` of the augmenters that use them goes up with it, as that is what trials are named by.
"""

_BATCH = 32
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
    """

    registrar: UsedPlugin
    alignment: Kind | Literal["none"]
    folder: Path
    device: str

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

    def read(self, view: PoolView, wanted: Wanted) -> dict[int, Pairs]:
        """Return the stored pairs of each source, registering what is missing."""
        self.fill(view, wanted)
        store = self.store(view)
        return {
            source: store.read(view.keys[source], [view.keys[t] for t in targets])
            for source, targets in wanted.items()
            if targets
        }

    def fill(self, view: PoolView, wanted: Wanted, progress: Progress = _silent) -> int:
        """Register the pairs that are missing and store them.

        Any number of processes may fill one store: each claims the sources it works on, and waits
        at the end for those of others.

        Args:
            view: The pool.
            wanted: The pairs.
            progress: Told of the pairs that were missing, whoever makes them.

        Returns:
            How many pairs this process registered.

        Raises:
            StoreError: If the store is damaged.
            StorageError: If it cannot be written.
        """
        store = self.store(view)
        waiting = _missing(store, view, wanted)
        total, made = sum(map(len, waiting.values())), 0
        while waiting:
            progress(total - sum(map(len, waiting.values())), total)
            idle = True
            for batch in _batches(waiting):
                with ExitStack() as claims:
                    mine = [
                        source
                        for source in batch
                        if claims.enter_context(store.claim(view.keys[source]))
                    ]
                    # Only now: somebody may have filled a source before it was ours.
                    todo = _missing(store, view, {source: batch[source] for source in mine})
                    if not todo:
                        continue
                    self._register(store, view, todo)
                    idle = False
                made += sum(map(len, todo.values()))
                for source, targets in todo.items():
                    waiting[source] = [t for t in waiting[source] if t not in set(targets)]
                progress(total - sum(map(len, waiting.values())), total)
            waiting = _missing(store, view, waiting)
            if waiting and idle:
                time.sleep(_POLL_SECONDS)
        progress(total, total)
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

    def _register(self, store: FieldStore, view: PoolView, batch: Wanted) -> None:
        """Register a batch of pairs and store them, source by source."""
        sources = [source for source, targets in batch.items() for _ in targets]
        targets = [target for targets in batch.values() for target in targets]
        moving, fixed = (view.take(places).to(self.device) for places in (sources, targets))
        codes, _, quality = self.register(moving, fixed)
        start = 0
        for source, chosen in batch.items():
            part = slice(start, start + len(chosen))
            start = part.stop
            store.add(
                view.keys[source],
                [view.keys[target] for target in chosen],
                codes[part].cpu().numpy(),
                {name: numbers[part].cpu().numpy() for name, numbers in quality.items()},
            )


def _missing(store: FieldStore, view: PoolView, wanted: Wanted) -> dict[int, list[int]]:
    """Return the wanted pairs that nobody has tried yet."""
    missing: dict[int, list[int]] = {}
    for source, targets in wanted.items():
        absent = set(store.missing(view.keys[source], [view.keys[t] for t in targets]))
        if absent:
            missing[source] = [t for t in targets if view.keys[t] in absent]
    return missing


def _batches(wanted: Wanted) -> Iterator[dict[int, list[int]]]:
    """Divide pairs into batches of about `_BATCH`, each of whole sources or parts of one."""
    batch: dict[int, list[int]] = {}
    for source, targets in wanted.items():
        for start in range(0, len(targets), _BATCH):
            part = list(targets[start : start + _BATCH])
            if batch and sum(map(len, batch.values())) + len(part) > _BATCH:
                yield batch
                batch = {}
            batch[source] = part
    if batch:
        yield batch

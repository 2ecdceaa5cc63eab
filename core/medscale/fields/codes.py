"""From stored codes to the displacements of a batch: which codes count, and where they put what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from medscale.fields.folding import least_between
from medscale.fields.quality import Gate
from medscale.fields.store import Pairs
from medscale.protocols import Batch

_SHORTER = 0.75
_TRIES = 4

_LEAST = 0.05
"""Determinant up to which a map counts as folding: what shrinks further may fold at another
resolution."""


def usable_codes(
    pairs: Mapping[int, Pairs], gate: Gate
) -> tuple[dict[int, Tensor], dict[str, int]]:
    """Return what is good enough of stored pairs.

    Args:
        pairs: Of each source, as from `PairRegistration.read`.
        gate: Turns pairs away.

    Returns:
        The codes (K, …) of each source, where K can be 0, and how many pairs failed or met no rule
        of the gate, by its name. One pair can be turned away by several rules.
    """
    codes: dict[int, Tensor] = {}
    reasons: Counter[str] = Counter()
    for source, found in pairs.items():
        sound = ~found.failed
        quality = {name: numbers[sound] for name, numbers in found.quality.items()}
        codes[source] = torch.from_numpy(found.codes[sound][gate.passes(quality)])
        reasons["failed"] += int(found.failed.sum())
        reasons.update(gate.reasons(quality))
    return codes, {name: count for name, count in sorted(reasons.items()) if count}


def in_words(turned_away: Mapping[str, int]) -> str:
    """Return how many pairs were turned away by what, for people."""
    return ", ".join(f"{count} by {name}" for name, count in turned_away.items()) or "no pairs"


def sound_displacements(displace: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """Return the displacements (K, D, *G) of codes; none of them folds.

    A map that folds, or that there is none of, was extrapolated too far. Its code is made a quarter
    shorter until there is one, four times at most; then it displaces nothing.

    Args:
        displace: Takes codes and returns their displacements in voxels of a grid G, every axis at
            least 2 long; NaN for a code that has none.
        codes: (K, …).
    """
    fields = displace(codes)
    folding = _folding(fields)
    for _ in range(_TRIES):
        if not len(folding):
            return fields
        codes = _SHORTER * codes
        shorter = displace(codes[folding])
        fields[folding] = shorter
        folding = folding[_folding(shorter)]
    fields[folding] = 0
    return fields


def _folding(fields: Tensor) -> Tensor:
    """Return which of some displacements fold, or are none."""
    return (~(least_between(fields) > _LEAST)).nonzero()[:, 0]


def undisplaced(batch: Batch) -> Tensor:
    """Return the displacement of a batch that is left alone: (B, D, 1, …), a single zero."""
    count, _, *shape = batch.images.shape
    return batch.images.new_zeros(count, len(shape), *[1] * len(shape))


def displaced(batch: Batch, samples: Sequence[int], fields: Tensor) -> Tensor:
    """Return displacements (B, D, *G) in voxels of the image, zero for the other samples.

    Args:
        batch: Images and masks.
        samples: The K samples that are displaced.
        fields: (K, D, *G) of them in voxels of G, a grid over the image's field of view.
    """
    count, _, *shape = batch.images.shape
    grid = fields.shape[2:]
    scale = fields.new_tensor([n / g for n, g in zip(shape, grid, strict=True)])
    fields = (fields * scale.view(-1, *[1] * len(shape))).to(batch.images)
    if list(samples) == list(range(count)):
        return fields
    every = batch.images.new_zeros(count, len(shape), *grid)
    every[samples] = fields
    return every

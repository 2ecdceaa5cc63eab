"""Which images a source is registered to: others that show the same part of the body.

The order is a property of the two images, not of the study: a pool that grows or shrinks changes
nothing about the order of those that stay, so stored deformations serve the next study too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from medscale.protocols import PoolView
from medscale.seeding import derive_seed


def target_orders(
    view: PoolView, sources: Iterable[int], candidates: Sequence[int], *, window: float
) -> dict[int, list[int]]:
    """Order the candidates as targets of each source, as `rank_targets` does.

    Args:
        view: The pool.
        sources: Places in it.
        candidates: Places in it.
        window: Largest difference of homologous positions.
    """
    keys, positions = view.keys, view.positions.tolist()
    return {
        source: rank_targets(source, candidates, keys=keys, positions=positions, window=window)
        for source in sources
    }


def rank_targets(
    source: int,
    candidates: Sequence[int],
    *,
    keys: Sequence[str],
    positions: Sequence[float],
    window: float,
) -> list[int]:
    """Order the candidates as targets of a source, the best first.

    Slices at homologous positions come first, in an order drawn from the pixels of the two images;
    then the others, the nearest first. Images equal to the source, or to a better candidate, are
    left out: they would deform nothing, or count twice.

    Args:
        source: Its place in `keys`.
        candidates: Places in `keys`.
        keys: Hash of each image.
        positions: Slice positions in [0, 1]; NaN where an image is no slice: all are homologous.
        window: Largest difference of homologous positions.
    """
    ranked: list[tuple[bool, float, int, int]] = []
    for candidate in candidates:
        away = abs(positions[candidate] - positions[source])
        homologous = math.isnan(away) or away <= window
        lot = derive_seed(0, "target", keys[source], keys[candidate])
        ranked.append((not homologous, 0.0 if homologous else away, lot, candidate))
    best: dict[str, int] = {}
    for *_, candidate in sorted(ranked):
        best.setdefault(keys[candidate], candidate)
    best.pop(keys[source], None)
    return list(best.values())

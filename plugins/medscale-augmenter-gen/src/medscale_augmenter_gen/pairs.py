"""Which pairs of the pool are registered for the generator, and what they teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from medscale.fields.codes import usable_codes
from medscale.fields.lattice import coarse_grid
from medscale.fields.registration import PairRegistration, Wanted
from medscale.fields.store import Pairs
from medscale.fields.targets import target_orders
from medscale.protocols import PoolView, Registrar
from medscale.seeding import derive_seed
from medscale_augmenter_gen.config import GenOptions
from medscale_augmenter_gen.lesson import Lesson
from medscale_augmenter_gen.networks import thumbnails

_BATCH = 64
"""Codes that are turned into fields together."""

_LARGEST_SIDE = {2: 32, 3: 16}
"""Of the grid of displacement fields, by the number of axes: all of them have to fit in memory."""


def choose_pairs(view: PoolView, options: GenOptions) -> dict[int, list[int]]:
    """Return the sources that are learned from, each with its targets in order, the best first.

    Both are drawn by the pixels of images, so they are the same whichever images are annotated, and
    in whatever order the pool lies. Of equal images, one is a source.
    """
    candidates = view.subset if options.targets == "subset" else range(len(view.indices))
    one_of_each = {view.keys[place]: place for place in reversed(candidates)}
    lots = sorted(one_of_each, key=lambda key: (derive_seed(0, "source", key), key))
    sources = [one_of_each[key] for key in lots[: options.sources]]
    orders = target_orders(view, sources, candidates, window=options.window)
    return {source: order for source, order in orders.items() if order}


def first_targets(orders: Wanted, count: int) -> dict[int, Sequence[int]]:
    """Return the first targets of each source."""
    return {source: order[:count] for source, order in orders.items()}


def learn_from(
    view: PoolView,
    pairs: Mapping[int, Pairs],
    registration: PairRegistration,
    options: GenOptions,
) -> tuple[Lesson | None, dict[str, Any]]:
    """Return what stored pairs teach, and how many of them do.

    Each source has the identity among its deformations: the image registered to itself. A source
    that has nothing else is left out; where all are, there is no lesson.
    """
    registrar: Registrar = registration.registrar.plugin
    grid = _lesson_grid(tuple(view.take([0]).shape[2:]), options.grid)
    usable, turned_away = usable_codes(pairs, options.gate)
    sources: list[int] = []
    codes: list[Tensor] = []
    fields: list[Tensor] = []
    for source, found in usable.items():
        kept, moved = _with_fields(registrar, found.to(registration.device), grid)
        if moved.any():
            sources.append(source)
            codes.append(torch.cat([torch.zeros_like(kept[:1]), kept]))
            fields.append(torch.cat([torch.zeros_like(moved[:1]), moved]))
    facts = {
        "sources": len(sources),
        "pairs": sum(len(found.failed) for found in pairs.values()),
        "used": sum(len(each) - 1 for each in fields),
        "turned away": turned_away,
    }
    if not sources:
        return None, facts
    counts = torch.tensor([len(each) for each in fields])
    lesson = Lesson(
        images=thumbnails(view.take(sources)).to(registration.device),
        owners=torch.arange(len(sources)).repeat_interleave(counts).to(registration.device),
        fields=torch.cat(fields),
        codes=torch.cat(codes) if options.parameterization == "momentum" else None,
    )
    return lesson, facts


def _lesson_grid(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Return the grid on which a generator's displacement fields live; coarser in 3-D."""
    return coarse_grid(shape, min(side, _LARGEST_SIDE[len(shape)]))


def _with_fields(
    registrar: Registrar, codes: Tensor, grid: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Return the codes that have displacements, and these, in voxels of the grid."""
    parts = [registrar.displacement(codes=part, shape=grid) for part in torch.split(codes, _BATCH)]
    fields = torch.cat(parts)
    sound = fields.isfinite().flatten(1).all(1)
    return codes[sound], fields[sound]

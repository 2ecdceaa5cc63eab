"""A pool of phantoms, as augmenters see one."""

from __future__ import annotations

import math

import torch

from medscale.protocols import Dataset, PluginContext, PoolView
from medscale.registry import default_registry
from medscale.study.construction import construct

ANNOTATED = 8


def phantoms(count: int, size: int) -> PoolView:
    """Return a pool of phantoms of different people, the first of them annotated."""
    plugin = default_registry().load("dataset", "phantom")
    options = {"subjects": count, "size": size}
    dataset: Dataset = construct(plugin, options, "phantom", PluginContext())[0]
    cases = dataset.cases()
    samples = [dataset.load(case) for case in cases]
    images = torch.stack([torch.as_tensor(sample.image).float() for sample in samples])
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    images = (images - low) / (high - low)
    subset = tuple(range(min(ANNOTATED, count)))
    labels = [torch.as_tensor(samples[place].label) for place in subset]
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(count),
        names=tuple(case.id for case in cases),
        subset=subset,
        masks=torch.stack([(label > 0).float()[None] for label in labels]),
        positions=torch.full((count,), math.nan),
        content="",
        seed=0,
    )

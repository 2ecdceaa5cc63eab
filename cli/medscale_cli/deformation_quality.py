"""Of an arm that learns from registered pairs: its deformations beside those registered ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from medscale.protocols import PoolView
    from medscale.report.deformations import DeformationQuality
    from medscale.study.plan import PlannedTrial
    from medscale_cli.run import Prepared

_IMAGES = 32
_EACH = 8
"""Most images, and most deformations of each, that are compared."""

_WHOLE = {"extent_min": 1.0, "extent_max": 1.0, "prob": 1.0}
"""Options with which every sample is deformed all the way, as registered ones are."""


def deformation_quality(prepared: Prepared, trial: PlannedTrial) -> DeformationQuality | None:
    """Compare an arm's deformations with the stored ones of the same images.

    Nothing is registered for it: images count whose pairs are stored once the arm is fitted.

    Returns:
        None where the arm has no such deformations, or too few images to compare.
    """
    import torch

    from medscale.protocols import Batch, PluginContext, SupportsDisplacements, SupportsRegistration
    from medscale.registry import default_registry
    from medscale.report.deformations import judge
    from medscale.seeding import torch_generator
    from medscale.study.construction import reconstruct
    from medscale.study.trial import annotation_order, pool_view

    if len(trial.spec.arm) != 1:
        return None
    (identity,) = trial.spec.arm
    spec, cohort = trial.spec, prepared.study.cohort
    whole = {name: value for name, value in _WHOLE.items() if name in identity.options}
    identity = identity.model_copy(update={"options": identity.options | whole})
    context = PluginContext(device="cpu", cache=prepared.cache)
    augmenter: Any = reconstruct(default_registry(), "augmenter", identity, context)
    powers = (SupportsDisplacements, SupportsRegistration)
    if not all(isinstance(augmenter, power) for power in powers):
        return None
    split, order = annotation_order(spec, cohort)
    view = pool_view(spec, cohort, split, order[: spec.size])
    wanted = augmenter.wanted(view, range(len(view.indices)))
    fields = registered_fields(augmenter, view, wanted, _IMAGES, _EACH)
    if len(fields) < 2:
        return None
    sources = list(fields)
    registered = torch.stack(list(fields.values()))
    images = view.take(sources)
    # The whole of them stands in for the training subset: only pixels are looked at.
    masks = torch.zeros(len(sources), 1, *images.shape[2:])
    augmenter.fit(replace(view, subset=tuple(sources), masks=masks))
    each = registered.shape[1]
    batch = Batch(
        images.repeat_interleave(each, dim=0),
        masks.repeat_interleave(each, dim=0),
        view.indices[sources].repeat_interleave(each),
    )
    generator = torch_generator(spec.seed, "preview quality", trial.arm)
    sampled = augmenter.displacements(batch, generator)
    others = [place for place in range(len(view.indices)) if place not in fields] or sources
    return judge(
        sampled.view(len(sources), each, *sampled.shape[1:]),
        registered,
        images,
        view.take(others[: len(sources)]),
        generator,
    )


def registered_fields(
    augmenter: Any, view: PoolView, wanted: Mapping[int, Sequence[int]], images: int, each: int
) -> dict[int, Tensor]:
    """Return displacements (K, D, *S) of stored pairs, K the same for all of some sources.

    Args:
        augmenter: It supports registration, and where it has a gate only what passes counts.
        view: The pool.
        wanted: Targets of each source; a source counts where all of its pairs are stored.
        images: Most sources.
        each: Most pairs of each.
    """
    import torch

    registration, gate = augmenter.registration, getattr(augmenter, "gate", None)
    store = registration.store(view)
    shape = tuple(view.take([0]).shape[2:])
    codes: dict[int, Tensor] = {}
    for source, targets in wanted.items():
        keys = [view.keys[target] for target in targets]
        if len(codes) == images or not keys or store.missing(view.keys[source], keys):
            continue
        pairs = store.read(view.keys[source], keys)
        passed = ~pairs.failed if gate is None else ~pairs.failed & gate.passes(pairs.quality)
        codes[source] = torch.from_numpy(pairs.codes[passed][:each])
    most = max(map(len, codes.values()), default=0)
    return {
        source: registration.registrar.plugin.displacement(codes=found, shape=shape)
        for source, found in codes.items()
        if most and len(found) == most
    }

"""Running one trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medscale.data.cases import Task
from medscale.data.cohort import Cohort
from medscale.data.splits import Split, make_split, training_order
from medscale.identity import content_key
from medscale.protocols import Augmenter, PluginContext, PoolView, SupportsDescription
from medscale.registry import Registry
from medscale.seeding import derive_seed, seeded_torch
from medscale.study.construction import reconstruct
from medscale.study.context import Progress, TrialContext
from medscale.study.environment import environment
from medscale.study.plan import TrialSpec
from medscale.study.records import TrialRecord
from medscale.training.initialisation import PriorGuess, xavier


class StageTimer:
    """Remembers what a trial is doing, for failure records, and how long each stage took."""

    def __init__(self) -> None:
        self.stage = "start"
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def enter(self, stage: str) -> None:
        """Begin the next stage."""
        now = time.perf_counter()
        self.seconds[self.stage] = now - self._since
        self.stage, self._since = stage, now


def run_trial(
    spec: TrialSpec,
    cohort: Cohort,
    registry: Registry,
    *,
    device: str,
    cache: Path,
    progress: Progress,
    preparing: Callable[[str, float], None],
    timer: StageTimer,
) -> TrialRecord:
    """Run one trial and return its record; writes nothing but caches.

    Args:
        spec: The trial.
        cohort: Its prepared data.
        registry: Installed plugins.
        device: Where to train.
        cache: Folder of what plugins learn.
        progress: Takes the done fraction.
        preparing: Told what plugins prepare before the trial, and the done share of it.
        timer: Told of each stage.
    """
    timer.enter("setup")
    split, train = trial_rows(spec, cohort)
    task = Task(labels=spec.labels)
    notes: list[str] = []
    context = PluginContext(device=device, cache=cache, log=notes.append, progress=preparing)
    seed = derive_seed(spec.seed, "trial", spec.dataset.name, spec.split, spec.replicate, spec.size)
    backbone = reconstruct(registry, "backbone", spec.backbone, context)
    recipe = reconstruct(registry, "recipe", spec.recipe, context)
    timer.enter("augmenter")
    augmenters = fitted_augmenters(spec, cohort, split, train, registry, context)

    # Half a voxel at either end, so that a mask that covers everything has log-odds too.
    masks = cohort.target(task, train)
    foreground = float((masks.sum() + 0.5) / (masks.size + 1))

    def build_network() -> nn.Module:
        with seeded_torch(derive_seed(seed, "weights")):
            network: nn.Module = backbone.build(
                in_channels=cohort.channels, out_channels=1, spatial_shape=cohort.shape
            )
            if spec.training.initialisation == "xavier":
                xavier(network)
        if spec.training.start_at_prior:
            network = PriorGuess(network, foreground)
        return network

    timer.enter("recipe")
    outcome = recipe.run(
        TrialContext(
            cohort=cohort,
            task=task,
            train=train,
            validation=split.validation,
            test=split.test,
            pool=split.pool,
            build_network=build_network,
            augmenters=augmenters,
            training=spec.training,
            augmentation=spec.augmentation,
            device=device,
            replicate=seed,
            progress=progress,
        )
    )
    timer.enter("end")
    return TrialRecord(
        key=spec.key,
        spec=spec,
        summary=outcome.summary,
        cases=outcome.cases,
        history=outcome.history,
        examples=outcome.examples,
        weights=outcome.weights,
        learned={
            identity.name: dict(augmenter.describe())
            for identity, augmenter in zip(spec.arm, augmenters, strict=True)
            if isinstance(augmenter, SupportsDescription)
        },
        notes=tuple(notes),
        timing={**timer.seconds, **outcome.timing},
        environment=environment(device),
        finished=now(),
    )


def trial_rows(spec: TrialSpec, cohort: Cohort) -> tuple[Split, tuple[int, ...]]:
    """Return the split of a trial and the cohort rows it trains on."""
    split, order = annotation_order(spec, cohort)
    return split, order[: spec.size]


def annotation_order(spec: TrialSpec, cohort: Cohort) -> tuple[Split, tuple[int, ...]]:
    """Return the split of a trial and the order in which its replicate annotates the pool."""
    target = cohort.target(Task(labels=spec.labels))
    rows = np.flatnonzero(target.reshape(len(target), -1).any(axis=1)).tolist()
    split = make_split(
        cohort,
        rows,
        spec.split_options,
        seed=spec.seed,
        dataset=spec.dataset.name,
        index=spec.split,
    )
    order = training_order(
        cohort,
        split.pool,
        seed=spec.seed,
        dataset=spec.dataset.name,
        index=spec.split,
        replicate=spec.replicate,
    )
    return split, order


def fitted_augmenters(
    spec: TrialSpec,
    cohort: Cohort,
    split: Split,
    train: tuple[int, ...],
    registry: Registry,
    context: PluginContext,
) -> tuple[Augmenter, ...]:
    """Construct the augmenters of a trial's arm and let them learn from the pool."""
    view = pool_view(spec, cohort, split, train)
    augmenters: list[Augmenter] = []
    for identity in spec.arm:
        augmenter = reconstruct(registry, "augmenter", identity, context)
        augmenter.fit(view)
        augmenters.append(augmenter)
    return tuple(augmenters)


def pool_view(spec: TrialSpec, cohort: Cohort, split: Split, train: tuple[int, ...]) -> PoolView:
    """Return what an augmenter may learn from."""
    pool = split.pool
    task = Task(labels=spec.labels)
    place = {row: position for position, row in enumerate(pool)}
    positions = [cohort.cases[row].position for row in pool]
    return PoolView(
        take=lambda positions: torch.from_numpy(cohort.images[[pool[p] for p in positions]]),
        indices=torch.tensor(pool),
        names=tuple(cohort.cases[row].id for row in pool),
        subset=tuple(place[row] for row in train),
        masks=torch.from_numpy(cohort.target(task, train)[:, None].astype(np.float32)),
        positions=torch.tensor([float("nan") if p is None else p for p in positions]),
        content=content_key([cohort.content, pool]),
        seed=derive_seed(spec.seed, "augmenter", spec.dataset.name, spec.split),
    )


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

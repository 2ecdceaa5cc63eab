"""How long a training is, when it validates, and how its learning rate moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medscale.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A training's length, resolved for n images.

    Attributes:
        steps: Optimiser steps in all.
        validate_at: The step counts after which the network is validated; the last is `steps`.
        epoch_size: Steps per pass over the subset where batches end with the epoch, else None.
        warmup_steps: Steps of linear warm-up.
    """

    steps: int
    validate_at: frozenset[int]
    epoch_size: int | None
    warmup_steps: int


def make_schedule(options: TrainingOptions, images: int) -> Schedule:
    """Resolve a budget for a subset of that many images.

    A budget of epochs is the published one: the last batch of an epoch may be smaller, and
    validation follows each epoch. Budgets of steps and samples fill every batch, beginning the
    next pass where one ends, so that n = 1 trains as long as n = 256.
    """
    epoch_size = None
    if options.budget == "epochs":
        epoch_size = math.ceil(images / options.batch_size)
        steps = options.amount * epoch_size
        validate_at = list(range(epoch_size, steps + 1, epoch_size))
    else:
        steps = options.amount
        if options.budget == "samples":
            steps = math.ceil(options.amount / options.batch_size)
        count = min(options.validations, steps)
        validate_at = [round(steps * (i + 1) / count) for i in range(count)]
    return Schedule(
        steps=steps,
        validate_at=frozenset(validate_at),
        epoch_size=epoch_size,
        warmup_steps=round(options.warmup * steps),
    )


def learning_rate_factor(schedule: Schedule, step: int) -> float:
    """Return the share of the peak learning rate at a step (0 is the first).

    Linear warm-up, then half a cosine down to zero.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    progress = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def batches(
    images: int, batch_size: int, schedule: Schedule, generator: np.random.Generator
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Yield the positions (in the training subset) of each step's batch, shuffled per pass."""
    if schedule.epoch_size is not None:
        for _ in range(schedule.steps // schedule.epoch_size):
            order = generator.permutation(images)
            for start in range(0, images, batch_size):
                yield order[start : start + batch_size]
        return
    queue = np.empty(0, dtype=np.int64)
    for _ in range(schedule.steps):
        while len(queue) < batch_size:
            queue = np.concatenate([queue, generator.permutation(images)])
        yield queue[:batch_size]
        queue = queue[batch_size:]

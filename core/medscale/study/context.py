"""What a recipe gets for one trial, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medscale.seeding import derive_seed, numpy_generator, torch_generator

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from medscale.data.cases import Task
    from medscale.data.cohort import Cohort
    from medscale.protocols import Augmenter
    from medscale.study.examples import Example
    from medscale.training.options import AugmentationOptions, TrainingOptions

Progress = Callable[[float, str], None]
"""Called with the done fraction of the trial and what is being done."""


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """One trial, with everything resolved.

    Attributes:
        cohort: The prepared cases, in memory.
        task: The binary target.
        train: Cohort rows of the annotated training subset (n of them).
        validation: Cohort rows for choosing the checkpoint.
        test: Cohort rows that are scored once, at the end.
        pool: Cohort rows of everything but validation and test.
        build_network: Builds the initialised network, the same one at every call.
        augmenters: The arm, in order; fitted already. May be empty.
        training: Budget, optimiser and checkpoint options.
        augmentation: The baseline augmentation of every arm.
        device: Where tensors live, as torch spells it.
        replicate: Seed shared by every arm and network of this replicate and size.
        progress: Takes the done fraction, often.
    """

    cohort: Cohort
    task: Task
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    pool: tuple[int, ...]
    build_network: Callable[[], nn.Module]
    augmenters: tuple[Augmenter, ...]
    training: TrainingOptions
    augmentation: AugmentationOptions
    device: str
    replicate: int
    progress: Progress

    def seed(self, stream: str) -> int:
        """Return the seed of a stream; every arm of the replicate gets the same one."""
        return derive_seed(self.replicate, stream)

    def numpy_generator(self, stream: str) -> np.random.Generator:
        """Return numpy's generator of a stream."""
        return numpy_generator(self.replicate, stream)

    def torch_generator(self, stream: str) -> torch.Generator:
        """Return a CPU torch generator of a stream."""
        return torch_generator(self.replicate, stream)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial found; JSON values only, None where a score is undefined.

    Attributes:
        cases: One row per test case, each with `case`, `subject` and the scores.
        summary: The trial's headline numbers, such as the means over test cases.
        history: One row per validation.
        examples: A few predictions, for pictures.
        weights: Hash of the chosen network's weights, or "".
        timing: Seconds by stage. Not part of what must be repeatable.
    """

    cases: list[dict[str, Any]]
    summary: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    examples: tuple[Example, ...] = ()
    weights: str = ""
    timing: dict[str, float] = field(default_factory=dict)

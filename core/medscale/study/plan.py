"""From a study to its trials, each with a content-derived key. Pure: nothing is read or run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from medscale.config import Options
from medscale.data.options import SplitOptions
from medscale.identity import IDENTITY_VERSION, content_key
from medscale.training.budgets import make_schedule
from medscale.training.metrics import METRIC_VERSION
from medscale.training.options import AugmentationOptions, TrainingOptions

GRID_FIELDS = ("task", "labels", "backbone", "arm", "size", "split", "replicate")
"""Fields of a trial along which a run folder may grow; the others are its protocol."""


class PluginIdentity(Options):
    """What of a plugin can change a result: name, behavior, resolved options, plugins it uses."""

    name: str
    behavior: int
    options: dict[str, Any]
    uses: dict[str, PluginIdentity] = Field(
        default_factory=dict, description="plugins that options name, by option"
    )


class TrialSpec(Options):
    """Everything that determines a trial's result, and nothing else.

    Device, workers, threads, paths and verbosity are not here. Versions of packages are recorded
    beside the result, not hashed.
    """

    identity_version: int = IDENTITY_VERSION
    metric_version: int = METRIC_VERSION
    dataset: PluginIdentity
    data: str = Field(description="content hash of the prepared cohort")
    recipe: PluginIdentity
    seed: int
    split_options: SplitOptions
    training: TrainingOptions
    augmentation: AugmentationOptions
    task: str
    labels: tuple[int, ...]
    backbone: PluginIdentity
    arm: tuple[PluginIdentity, ...]
    size: int
    split: int
    replicate: int

    @property
    def key(self) -> str:
        """The trial's name: a hash of all fields."""
        return content_key(self.model_dump(mode="json"))

    def protocol(self) -> dict[str, Any]:
        """Return the fields that every trial of a run folder shares."""
        return self.model_dump(mode="json", exclude=set(GRID_FIELDS))

    def images_seen(self) -> int:
        """Return how many images the training will see, the measure of its cost."""
        schedule = make_schedule(self.training, self.size)
        if schedule.epoch_size is not None:
            return self.training.amount * self.size
        return schedule.steps * self.training.batch_size


class PlannedTrial(NamedTuple):
    """A trial with the labels that people know it by."""

    spec: TrialSpec
    arm: str
    backbone: str


def build_plan(
    template: Mapping[str, Any],
    *,
    tasks: Mapping[str, tuple[int, ...]],
    arms: Mapping[str, tuple[PluginIdentity, ...]],
    backbones: Mapping[str, PluginIdentity],
    sizes: Sequence[int],
    replicates: Mapping[int, int],
    splits: int,
) -> tuple[PlannedTrial, ...]:
    """Return every trial of the grid, in the order in which it should run.

    A whole replicate of all arms comes before the next one, so that a paired comparison can be
    looked at as early as possible.

    Args:
        template: The fields of `TrialSpec` that all trials share.
        tasks: Label values by task.
        arms: Augmenters by arm label.
        backbones: Networks by label.
        sizes: Training-set sizes.
        replicates: Number of replicates by size.
        splits: Number of splits.
    """
    trials = []
    for replicate in range(max(replicates.values())):
        for split in range(splits):
            for size in sizes:
                if replicate >= replicates[size]:
                    continue
                for task, labels in tasks.items():
                    for backbone, network in backbones.items():
                        for arm, augmenters in arms.items():
                            spec = TrialSpec(
                                **template,
                                task=task,
                                labels=labels,
                                backbone=network,
                                arm=augmenters,
                                size=size,
                                split=split,
                                replicate=replicate,
                            )
                            trials.append(PlannedTrial(spec, arm, backbone))
    return tuple(trials)

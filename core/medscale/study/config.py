"""What a user asks for: one study, and how to run it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from medscale.config import Options
from medscale.data.options import PrepareOptions, SplitOptions
from medscale.errors import ConfigError
from medscale.sizes import parse_sizes
from medscale.training.options import AugmentationOptions, TrainingOptions

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")


class Arm(NamedTuple):
    """One arm of the comparison.

    Attributes:
        label: What tables and figures call it.
        augmenters: Plugin names, applied in order.
    """

    label: str
    augmenters: tuple[str, ...]


def parse_arm(text: str) -> Arm:
    """Parse `red`, `red+reg` (both, as one deformation), or `strong=red` (red under a label).

    A labelled arm has options of its own: `--aug red,strong=red --set strong.prob=1`.

    Raises:
        ConfigError: If the text has another form.
    """
    label, equals, names = text.strip().rpartition("=")
    augmenters = tuple(name.strip() for name in names.split("+"))
    label = label.strip() if equals else "+".join(augmenters)
    if not _LABEL.fullmatch(label) or not all(augmenters):
        raise ConfigError(
            f"--aug got {text!r}, expected an augmenter such as red, several as red+reg, or a "
            "label for one as strong=red"
        )
    return Arm(label, augmenters)


def parse_replicates(text: str) -> tuple[tuple[int, int], ...]:
    """Parse `5`, or `20,16:10`: 20 replicates, 10 from n = 16 on.

    Returns:
        Pairs (from size, replicates), ascending, the first from size 1.

    Raises:
        ConfigError: If the text has another form.
    """
    rules: dict[int, int] = {}
    for part in str(text).replace(" ", "").split(","):
        size, colon, count = part.rpartition(":")
        start = size if colon else "1"
        if not (start.isascii() and start.isdigit() and count.isascii() and count.isdigit()):
            raise ConfigError(
                f"--replicates got {text!r}, expected a number such as 5, or 20,16:10 for 20 and, "
                "from n = 16 on, 10"
            )
        if int(start) in rules:
            raise ConfigError(
                f"--replicates got {text!r}, two numbers from n = {int(start)} on; write 20,16:10 "
                "for 20 and, from n = 16 on, 10"
            )
        rules[int(start)] = int(count)
    if min(rules) != 1 or min(rules.values()) < 1:
        raise ConfigError(
            f"--replicates got {text!r}: begin with the number for the smallest sizes; every "
            "number is at least 1"
        )
    return tuple(sorted(rules.items()))


class StudyConfig(Options):
    """One study. Every field is classed in `FIELD_ROLES`."""

    dataset: str = Field(description="data set plugin")
    tasks: tuple[str, ...] = Field(default=(), description="binary tasks; empty: the only one")
    arms: tuple[Arm, ...] = Field(min_length=1, description="augmentation arms to compare")
    backbones: tuple[str, ...] = Field(min_length=1, description="network plugins")
    recipe: str = Field(description="recipe plugin")
    sizes: tuple[int, ...] = Field(min_length=1, description="training-set sizes n, in images")
    replicates: tuple[tuple[int, int], ...] = Field(
        default=((1, 5),), description="repetitions per size, each with another subset"
    )
    splits: int = Field(default=1, ge=1, description="test/validation/pool divisions")
    seed: int = Field(default=0, ge=0, description="root of all randomness")
    prepare: PrepareOptions = PrepareOptions()
    split: SplitOptions = SplitOptions()
    train: TrainingOptions = TrainingOptions()
    augmentation: AugmentationOptions = AugmentationOptions()
    plugins: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="options of plugins and of labelled arms"
    )

    @field_validator("tasks", "backbones", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
            # A name given twice is one name.
            return tuple(dict.fromkeys(value))
        return value

    @field_validator("arms", mode="before")
    @classmethod
    def _parse_arms(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, Sequence):
            return value
        return tuple(parse_arm(part) if isinstance(part, str) else part for part in value)

    @field_validator("arms")
    @classmethod
    def _check_arms(cls, value: tuple[Arm, ...]) -> tuple[Arm, ...]:
        if len({arm.label for arm in value}) < len(set(value)):
            raise ConfigError("--aug got one label for two arms; give each its own")
        return tuple(dict.fromkeys(value))

    @field_validator("sizes", mode="before")
    @classmethod
    def _parse_sizes(cls, value: object) -> object:
        return parse_sizes(value) if isinstance(value, str) else value

    @field_validator("sizes")
    @classmethod
    def _check_sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if min(value) < 1:
            raise ValueError("a training set has at least 1 image")
        return tuple(sorted(set(value)))

    @field_validator("replicates", mode="before")
    @classmethod
    def _parse_replicates(cls, value: object) -> object:
        return parse_replicates(str(value)) if isinstance(value, int | str) else value

    @field_validator("replicates")
    @classmethod
    def _check_replicates(cls, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        # As text, so that a study file's list and a flag are read by the same rules.
        return parse_replicates(",".join(f"{start}:{count}" for start, count in value))

    def replicates_at(self, size: int) -> int:
        """Return how many replicates a size has."""
        return next(count for start, count in reversed(self.replicates) if start <= size)


FIELD_ROLES: dict[str, Literal["identity", "grid", "plugin"]] = {
    "dataset": "identity",
    "tasks": "grid",
    "arms": "grid",
    "backbones": "grid",
    "recipe": "identity",
    "sizes": "grid",
    "replicates": "grid",
    "splits": "grid",
    "seed": "identity",
    "prepare": "identity",
    "split": "identity",
    "train": "identity",
    "augmentation": "identity",
    "plugins": "plugin",
}
"""What each field of a study is: part of every trial's identity ("plugin" options within that of
the plugin they belong to), or an axis of the grid, by which a run folder may grow. Nothing about
where and how fast a study runs is in it: that is `RunOptions`."""


class RunOptions(Options):
    """Where and how a study runs; none of it changes a result on the CPU."""

    out: Path = Field(description="run folder")
    data: Path | None = Field(default=None, description="folder of the data set")
    device: str = Field(default="cpu", description="cpu, cuda, cuda:N or auto")
    jobs: int = Field(default=1, ge=1, description="trials at a time")
    threads: int = Field(
        default=1,
        ge=1,
        description="CPU threads per trial; another number rounds differently in the last bits",
    )
    executor: str = Field(default="process", description="executor plugin")

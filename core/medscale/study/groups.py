"""The option groups of core, by the name that `--set` gives them."""

from __future__ import annotations

from medscale.config import Options
from medscale.data.options import PrepareOptions, SplitOptions
from medscale.training.options import AugmentationOptions, TrainingOptions

OPTION_GROUPS: dict[str, type[Options]] = {
    "train": TrainingOptions,
    "augmentation": AugmentationOptions,
    "prepare": PrepareOptions,
    "split": SplitOptions,
}

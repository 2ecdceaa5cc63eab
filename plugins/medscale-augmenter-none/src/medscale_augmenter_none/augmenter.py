"""The arm that every other arm is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medscale_augmenter_none.config import NoneOptions

if TYPE_CHECKING:
    import torch

    from medscale.protocols import Batch, PluginContext, PoolView


class NoAugmentation:
    """Leaves batches as the baseline augmentation made them."""

    def __init__(self, config: NoneOptions, context: PluginContext) -> None:
        pass

    def fit(self, view: PoolView) -> None:
        """Learn nothing."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch itself."""
        return batch

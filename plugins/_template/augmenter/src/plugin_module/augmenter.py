"""Smooth random deformations: control points move at random, pixels between them follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from medscale.training.deformation import deform
from plugin_module.config import PluginOptions

if TYPE_CHECKING:
    from torch import Tensor

    from medscale.protocols import Batch, PluginContext, PoolView


class PluginClass:
    """A distribution over deformations (the capability SupportsDisplacements)."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    def fit(self, view: PoolView) -> None:
        """Learn nothing; an augmenter that learns does so here, once per trial.

        Seed whatever is drawn with `view.seed`. Keep what was slow under `context.cache`, in a file
        named by `view.content` and the options.
        """

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return (B, D, *S) in pixels; core composes it with the baseline and resamples once."""
        shape = tuple(batch.images.shape[2:])
        points = [self._config.points] * len(shape)
        # Drawn on the CPU, whatever the device: the same seed means the same deformation.
        moves = torch.randn(len(batch.images), len(shape), *points, generator=generator)
        mode = "bicubic" if len(shape) == 2 else "trilinear"
        field = F.interpolate(moves, size=shape, mode=mode, align_corners=False)
        return self._config.amplitude * field.to(batch.images)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Warp images linearly and masks with threshold ½; zero outside."""
        return deform(batch, self.displacements(batch, generator))

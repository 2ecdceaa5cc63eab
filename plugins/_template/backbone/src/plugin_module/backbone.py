"""A network of two scales, with a skip between them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medscale.errors import ConfigError
from medscale.protocols import PluginContext
from plugin_module.config import PluginOptions


class PluginClass:
    """Builds the networks, in 2-D and 3-D."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        """Build one network, with weights drawn the usual way (core seeds torch around it).

        Raises:
            ConfigError: If the shape is odd, or has not 2 or 3 axes.
        """
        if len(spatial_shape) not in (2, 3) or any(n % 2 or n < 4 for n in spatial_shape):
            shape = "x".join(map(str, spatial_shape))
            raise ConfigError(
                f"plugin_name got images of {shape}, expected 2 or 3 axes with an even number of "
                "pixels, 4 or more: set --shape"
            )
        return TwoScales(in_channels, out_channels, self._config.width, len(spatial_shape))


class TwoScales(nn.Module):
    """Convolutions at full and at half resolution."""

    def __init__(self, in_channels: int, out_channels: int, width: int, dims: int) -> None:
        super().__init__()
        self.fine = _block(in_channels, width, dims)
        self.coarse = _block(width, 2 * width, dims)
        self.merge = _block(3 * width, width, dims)
        self.last = _CONVOLUTION[dims](width, out_channels, 1)
        self._pool = _POOLING[dims]

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in, *S) to logits (B, out, *S)."""
        fine = self.fine(images)
        coarse = F.interpolate(self.coarse(self._pool(fine, 2)), size=fine.shape[2:])
        logits: Tensor = self.last(self.merge(torch.cat([fine, coarse], dim=1)))
        return logits


_CONVOLUTION: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, Any] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_POOLING: dict[int, Any] = {2: F.avg_pool2d, 3: F.avg_pool3d}


def _block(in_channels: int, out_channels: int, dims: int) -> nn.Sequential:
    # Instance and not batch normalisation: training may have a single image.
    return nn.Sequential(
        _CONVOLUTION[dims](in_channels, out_channels, 3, padding=1),
        _NORM[dims](out_channels, affine=True),
        nn.LeakyReLU(0.01),
    )

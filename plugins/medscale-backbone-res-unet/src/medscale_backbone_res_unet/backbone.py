"""A residual U-Net of 1.96 M parameters at width 32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medscale.errors import ConfigError
from medscale_backbone_res_unet.config import ResUNetOptions
from medscale_backbone_res_unet.network import FastDynUNet

if TYPE_CHECKING:
    from torch import nn

    from medscale.protocols import PluginContext

_FACTOR = 8
"""Three halvings."""


class ResUNet:
    """MONAI's DynUNet with residual blocks, four levels and instance norm.

    Chu et al. 2025 give 1.96 M parameters at feature size 32 and no further detail; of MONAI's
    networks this one fits (1,966,433).
    """

    def __init__(self, config: ResUNetOptions, context: PluginContext) -> None:
        self._width = config.width

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        """Build the network for 2-D or 3-D images.

        Raises:
            ConfigError: If an axis is no multiple of 8, or below 16.
        """
        if any(n % _FACTOR or n < 2 * _FACTOR for n in spatial_shape):
            raise ConfigError(
                f"res_unet cannot take the shape {spatial_shape}: every axis has to be a multiple "
                f"of {_FACTOR}, at least {2 * _FACTOR}; choose another --shape"
            )
        return FastDynUNet(len(spatial_shape), in_channels, out_channels, width=self._width)

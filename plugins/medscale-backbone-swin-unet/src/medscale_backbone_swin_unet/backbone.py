"""A Swin U-Net of 1.59 M parameters at feature size 12."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai.networks.nets.swin_unetr import SwinUNETR

from medscale.errors import ConfigError
from medscale_backbone_swin_unet.config import SwinUNetOptions

if TYPE_CHECKING:
    from torch import nn

    from medscale.protocols import PluginContext

_FACTOR = 32
"""Five halvings."""


class SwinUNet:
    """MONAI's SwinUNETR with its defaults.

    Its parameter count, 1,590,115 in 2-D at feature size 12, is that of Chu et al. 2025.
    """

    def __init__(self, config: SwinUNetOptions, context: PluginContext) -> None:
        self._feature_size = config.feature_size

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        """Build the network for 2-D or 3-D images.

        Raises:
            ConfigError: If an axis is no multiple of 32, or below 64.
        """
        if any(n % _FACTOR or n < 2 * _FACTOR for n in spatial_shape):
            raise ConfigError(
                f"swin_unet cannot take the shape {spatial_shape}: every axis has to be a "
                f"multiple of {_FACTOR}, at least {2 * _FACTOR}; choose another --shape"
            )
        network: nn.Module = SwinUNETR(
            spatial_dims=len(spatial_shape),
            in_channels=in_channels,
            out_channels=out_channels,
            feature_size=self._feature_size,
        )
        return network

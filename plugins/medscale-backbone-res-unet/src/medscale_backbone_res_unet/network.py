"""The residual U-Net: MONAI's DynUNet, computed faster on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor

from medscale_backbone_res_unet.convolution import ConvolutionNorm, pointwise_norm

_SLOPE = 0.01
_EPSILON = 1e-5
"""Of leaky ReLU and instance norm: the defaults of DynUNet."""


class FastDynUNet(DynUNet):
    """DynUNet with instance norm, residual blocks and four levels, and a forward of its own.

    Parameters, their names, their initial values and the function are MONAI's; only the order of
    the sums differs, so results agree to rounding. On any device but a CPU, MONAI's own forward
    runs.

    Args:
        dims: 2 or 3.
        in_channels: Of the images.
        out_channels: Of the logits.
        width: Channels of the first level, doubled at each.
    """

    def __init__(self, dims: int, in_channels: int, out_channels: int, *, width: int) -> None:
        super().__init__(
            dims,
            in_channels,
            out_channels,
            kernel_size=[3] * 4,
            strides=[1, 2, 2, 2],
            upsample_kernel_size=[2] * 3,
            filters=[width * 2**level for level in range(4)],
            norm_name="instance",
            res_block=True,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, *S) of images (B, C, *S)."""
        available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if images.device.type != "cpu" or not available:
            theirs: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
            return theirs
        features = _channels_last(images)
        skips: list[Tensor] = []
        for block in (self.input_block, *self.downsamples):
            features = _residual(block, features)
            skips.append(features)
        features = _residual(self.bottleneck, features)
        for level in self.upsamples:
            raised = level.transp_conv(features.movedim(-1, 1)).movedim(1, -1)
            features = torch.cat((raised, skips.pop()), dim=-1)
            for convolution in (level.conv_block.conv1, level.conv_block.conv2):
                features, _ = _normalised(convolution, features, _SLOPE)
        last = self.output_block.conv.conv
        logits = F.linear(features, last.weight.flatten(1), last.bias)
        return logits.movedim(-1, 1).contiguous()


def _channels_last(images: Tensor) -> Tensor:
    """Return (B, *S, C), contiguous.

    Also in its strides, which `contiguous` leaves as they are where C is 1: by them oneDNN tells
    the order of the axes.
    """
    moved = images.movedim(1, -1)
    return moved.reshape(-1).view(moved.shape)


def _residual(block: Any, features: Tensor) -> Tensor:
    inner, seen = _normalised(block.conv1, features, _SLOPE)
    inner, _ = _normalised(block.conv2, inner, slope=1)
    # Where the number of channels or the size changes, the shortcut is a convolution too.
    shortcut = (
        pointwise_norm(seen, block.conv3.conv.weight, _EPSILON) if block.downsample else features
    )
    return F.leaky_relu_(inner + shortcut, _SLOPE)


def _normalised(convolution: Any, features: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    layer = convolution.conv
    results: tuple[Tensor, Tensor] = ConvolutionNorm.apply(  # type: ignore[no-untyped-call]
        features, layer.weight, layer.stride[0], _EPSILON, slope
    )
    return results

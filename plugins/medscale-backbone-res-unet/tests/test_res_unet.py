"""The residual U-Net is the published one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medscale.errors import ConfigError
from medscale.protocols import PluginContext
from medscale.seeding import seeded_torch
from medscale.training.initialisation import xavier
from medscale_backbone_res_unet.backbone import ResUNet
from medscale_backbone_res_unet.config import ResUNetOptions


def _build(
    shape: tuple[int, ...], *, width: int = 32, in_channels: int = 1, out_channels: int = 1
) -> nn.Module:
    backbone = ResUNet(ResUNetOptions(width=width), PluginContext())
    with seeded_torch(0):
        return backbone.build(
            in_channels=in_channels, out_channels=out_channels, spatial_shape=shape
        )


def test_it_has_the_published_number_of_parameters() -> None:
    network = _build((512, 512))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_966_433


@pytest.mark.parametrize("shape", [(16, 16), (24, 40), (16, 24, 16)])
def test_logits_have_the_size_of_the_image(shape: tuple[int, ...]) -> None:
    network = _build(shape, width=2, in_channels=3, out_channels=2)
    for training in (True, False):
        network.train(training)
        logits = network(torch.rand(2, 3, *shape))
        assert isinstance(logits, torch.Tensor)
        assert logits.shape == (2, 2, *shape)
        assert (logits < 0).any()


@pytest.mark.parametrize("shape", [(20, 16), (16, 8), (0, 16), (16, 16, 12), (513, 512)])
def test_an_impossible_shape_is_explained(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"res_unet cannot take .* multiple of 8, at least 16"):
        _build(shape)


def test_weights_come_from_torch_s_seed() -> None:
    one, other = _build((16, 16), width=4), _build((16, 16), width=4)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_xavier_reaches_its_layers() -> None:
    network = _build((16, 16), width=4)
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    with seeded_torch(1):
        xavier(network)
    layers = [module for module in network.modules() if hasattr(module, "weight")]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) > 10
    for convolution in convolutions:
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(convolution.weight)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert convolution.weight.abs().max() <= bound
        assert convolution.weight.abs().max() > (0.9 if fan_in > 30 else 0.3) * bound
        assert convolution.bias is None or not convolution.bias.any()
    changed = [
        name for name, new in network.named_parameters() if not torch.equal(new, before[name])
    ]
    assert len([name for name in changed if name.endswith("weight")]) == len(convolutions)

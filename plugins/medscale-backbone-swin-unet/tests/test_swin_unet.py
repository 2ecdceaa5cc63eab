"""The Swin U-Net is the published one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.protocols import PluginContext
from medscale.seeding import seeded_torch
from medscale.training.initialisation import xavier
from medscale_backbone_swin_unet.backbone import SwinUNet
from medscale_backbone_swin_unet.config import SwinUNetOptions


def _build(shape: tuple[int, ...], *, in_channels: int = 1, out_channels: int = 1) -> nn.Module:
    backbone = SwinUNet(SwinUNetOptions(), PluginContext())
    with seeded_torch(0):
        return backbone.build(
            in_channels=in_channels, out_channels=out_channels, spatial_shape=shape
        )


@pytest.fixture(scope="module")
def plane() -> nn.Module:
    return _build((64, 64))


def test_it_has_the_published_number_of_parameters(plane: nn.Module) -> None:
    assert sum(parameter.numel() for parameter in plane.parameters()) == 1_590_115


@pytest.mark.parametrize("shape", [(64, 96), (64, 64, 64)])
def test_logits_have_the_size_of_the_image(shape: tuple[int, ...]) -> None:
    network = _build(shape, in_channels=2, out_channels=3).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 2, *shape))
    assert logits.shape == (1, 3, *shape)
    assert (logits < 0).any()


@pytest.mark.parametrize("shape", [(64, 32), (96, 80), (64, 64, 48), (0, 64)])
def test_an_impossible_shape_is_explained(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"swin_unet cannot take .* multiple of 32, at least 64"):
        _build(shape)


@pytest.mark.parametrize("size", [0, 6, 13])
def test_an_impossible_feature_size_is_explained(size: int) -> None:
    with pytest.raises(ConfigError, match=r"swin_unet\.feature_size got"):
        validate(SwinUNetOptions, {"feature_size": size}, "swin_unet")


def test_xavier_reaches_linear_layers_and_convolutions(plane: nn.Module) -> None:
    network = _build((64, 64))
    with seeded_torch(1):
        xavier(network)
    layers = [
        module
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert any(isinstance(layer, nn.Linear) for layer in layers)
    for layer in layers:
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.7 * bound < layer.weight.abs().max() <= bound
        assert layer.bias is None or not layer.bias.any()
    tables = {
        name: tensor
        for name, tensor in network.named_parameters()
        if "relative_position" in name or "norm" in name
    }
    assert tables
    before = dict(plane.named_parameters())
    for name, tensor in tables.items():
        assert torch.equal(tensor, before[name])

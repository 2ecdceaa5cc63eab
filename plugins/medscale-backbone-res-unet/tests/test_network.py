"""The network is MONAI's DynUNet: same weights, same logits, same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from medscale.seeding import seeded_torch
from medscale_backbone_res_unet.convolution import ConvolutionNorm, pointwise_norm
from medscale_backbone_res_unet.network import FastDynUNet

SHAPES = [(32, 48), (16, 24, 16)]


def _theirs(dims: int, in_channels: int, out_channels: int, width: int) -> nn.Module:
    with seeded_torch(3):
        network: nn.Module = DynUNet(
            dims,
            in_channels,
            out_channels,
            kernel_size=[3] * 4,
            strides=[1, 2, 2, 2],
            upsample_kernel_size=[2] * 3,
            filters=[width, 2 * width, 4 * width, 8 * width],
            norm_name="instance",
            res_block=True,
        )
    return network


def _ours(dims: int, in_channels: int, out_channels: int, width: int) -> nn.Module:
    with seeded_torch(3):
        return FastDynUNet(dims, in_channels, out_channels, width=width)


def _images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("dims", [2, 3])
def test_weights_and_their_names_are_monai_s(dims: int) -> None:
    theirs, ours = _theirs(dims, 1, 1, 8).state_dict(), _ours(dims, 1, 1, 8).state_dict()
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "width"), [(1, 1, 4), (3, 2, 5), (4, 1, 4)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_gradients_are_monai_s(
    shape: tuple[int, ...], in_channels: int, out_channels: int, width: int
) -> None:
    images = _images(2, in_channels, *shape)
    logits, gradients = [], []
    for build in (_theirs, _ours):
        network = build(len(shape), in_channels, out_channels, width).double()
        leaf = images.clone().requires_grad_()
        result = network(leaf)
        # Weighted, so that every voxel and channel has a gradient of its own.
        (result * _images(*result.shape)).sum().backward()
        logits.append(result.detach())
        assert leaf.grad is not None
        gradients.append([leaf.grad, *(weight.grad for weight in network.parameters())])
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-9)
    for theirs, ours in zip(*gradients, strict=True):
        assert theirs is not None
        assert ours is not None
        assert theirs.abs().max() > 0
        torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-9 * float(theirs.abs().max()))


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_as_close_to_float64_as_monai_s(shape: tuple[int, ...]) -> None:
    images = _images(2, 1, *shape)
    with torch.inference_mode():
        exact = _theirs(len(shape), 1, 1, 8).double().eval()(images)
        theirs = _theirs(len(shape), 1, 1, 8).eval()(images.float()) - exact
        ours = _ours(len(shape), 1, 1, 8).eval()(images.float()) - exact
    assert ours.abs().max() < 3 * theirs.abs().max() + 1e-6


def test_it_gives_the_same_bits_again_whatever_the_memory_order_of_the_images() -> None:
    results = []
    for order in (torch.contiguous_format, torch.channels_last):
        network = _ours(2, 3, 1, 8)
        images = _images(4, 3, 32, 32).float().contiguous(memory_format=order)
        logits = network(images)
        assert logits.is_contiguous()
        logits.square().sum().backward()
        results.append([logits.detach(), *(weight.grad for weight in network.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("slope", [1, 0.01])
@pytest.mark.parametrize("wants", [True, False], ids=["all", "weight"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(6, 4), (4, 2, 4)])
def test_the_gradient_is_the_derivative(
    shape: tuple[int, ...], stride: int, wants: bool, slope: float
) -> None:
    features = _images(2, *shape, 3).requires_grad_(wants)
    weight = (_images(2, 3, *[3] * len(shape)) - 0.5).requires_grad_()

    def function(*inputs: Tensor) -> Any:
        result, seen = ConvolutionNorm.apply(*inputs, stride, 1e-5, slope)  # type: ignore[no-untyped-call]
        return (result, seen) if wants else result

    assert torch.autograd.gradcheck(function, (features, weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_convolving_voxels_in_pairs_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    results = []
    for capability in ("AVX512", "DEFAULT"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda name=capability: name)
        network = _ours(len(shape), 2, 1, 4).double()
        leaf = _images(2, 2, *shape).requires_grad_()
        logits = network(leaf)
        logits.square().sum().backward()
        results.append([logits.detach(), leaf.grad, *(w.grad for w in network.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_a_large_mean_does_not_spoil_the_norms() -> None:
    features = _images(1, 16, 16, 1).float() + 300
    centre = torch.zeros(1, 1, 3, 3)
    centre[..., 1, 1] = 1
    convolved, _ = ConvolutionNorm.apply(features, centre, 1, 1e-5, 1)  # type: ignore[no-untyped-call]
    for result in (convolved, pointwise_norm(features, torch.ones(1, 1, 1, 1), 1e-5)):
        assert abs(float(result.mean())) < 1e-3
        # The images themselves carry rounding of 1.5e-5 here, against a deviation of 0.29.
        assert float(result.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_a_constant_channel_becomes_zero() -> None:
    result = pointwise_norm(torch.full((1, 4, 4, 2), 0.3), torch.ones(3, 2, 1, 1), 1e-5)
    torch.testing.assert_close(result, torch.zeros(1, 4, 4, 3), rtol=0, atol=1e-4)

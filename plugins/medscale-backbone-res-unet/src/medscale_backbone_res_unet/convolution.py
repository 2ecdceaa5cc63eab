"""Convolutions without bias and the instance norm after them, faster than torch's on a CPU.

Channels are the last axis here: in that order oneDNN convolves few channels a third faster than in
torch's default order, and needs no reordering around it. Torch's own instance norm is slow there
(and its statistics are slow everywhere), so it is written out with operations that are fast: sums
of long rows, and Gram matrices, whose diagonals are the sums of squares.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_LANES = 16
"""Float32 numbers in a vector of AVX-512."""


class ConvolutionNorm(torch.autograd.Function):
    """Convolve, give every channel of every image zero mean and unit variance, apply leaky ReLU.

    Called as `ConvolutionNorm.apply(features, weight, stride, epsilon, slope)` with contiguous
    features (B, *S, C), weight (K, C, *k), k being 3 along every axis, padding that keeps the size
    where stride is 1, and the slope of leaky ReLU, 1 for none.

    Returns two tensors: contiguous features (B, *S', K), and those of the given features that a
    convolution with kernel 1 of the same stride would see, (B, *S', C). They come from here because
    their gradient is added to that of all the features in place.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, stride: int, epsilon: float, slope: float
    ) -> tuple[Tensor, Tensor]:
        """Convolve, normalise and activate."""
        result = _convolve(features, weight, stride)
        rows, width, voxels = _rows(result), result.shape[-2], result[0, ..., 0].numel()
        # The mean goes first: E[x²] − E[x]² would lose digits where the mean is large.
        rows.sub_(_along_row(_sums(result).div_(voxels), width))
        inverse = _products(result, result).div(voxels).add_(epsilon).rsqrt_()
        rows.mul_(_along_row(inverse, width))
        if slope != 1:
            F.leaky_relu_(result, slope)
        ctx.save_for_backward(features, weight, result, inverse)
        ctx.stride, ctx.slope = stride, slope
        # What was seen often goes unused: then its gradient is None, not zeros to be added.
        ctx.set_materialize_grads(False)
        seen = _every(features, stride).contiguous()
        if not ctx.needs_input_grad[0]:
            ctx.mark_non_differentiable(seen)
        return result, seen

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor | None, of_seen: Tensor | None
    ) -> tuple[Tensor | None, Tensor, None, None, None]:
        """Return the gradients of features and weight."""
        features, weight, result, inverse = ctx.saved_tensors
        gradient = torch.zeros_like(result) if gradient is None else gradient.contiguous()
        if ctx.slope != 1:
            gradient = torch.ops.aten.leaky_relu_backward(gradient, result, ctx.slope, True)
            result = F.leaky_relu(result, 1 / ctx.slope)
        # (g − mean(g) − z·mean(g·z)) / σ, for z the normalised channel and g its gradient.
        means = torch.stack((_sums(gradient), _products(gradient, result)))
        offset, factor = means.mul_(inverse).div_(-result[0, ..., 0].numel())
        terms = _along_row(torch.cat((offset, factor, inverse)), result.shape[-2]).chunk(3)
        inner = torch.addcmul(terms[0], _rows(result), terms[1])
        inner.addcmul_(_rows(gradient), terms[2])
        of_features, of_weight = _convolve_backward(
            inner.view(result.shape), features, weight, ctx.stride, ctx.needs_input_grad[0]
        )
        if of_features is not None and of_seen is not None:
            _every(of_features, ctx.stride).add_(of_seen)
        return of_features, of_weight, None, None, None


def pointwise_norm(features: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Convolve with kernel 1 and normalise every channel of every image.

    The result is a linear map of the features, whose covariance gives the variances: two passes
    over the features, which are fewer than the results, save four over those.

    Args:
        features: (B, *S, C).
        weight: (K, C, *k), k being 1 along every axis.
        epsilon: Added to the variances.

    Returns:
        (B, *S, K).
    """
    matrix, voxels = weight.flatten(1), features.flatten(1, -2)
    centred = voxels - voxels.mean(1, keepdim=True)
    covariance = centred.mT @ centred / voxels.shape[1]
    # Rounding could take a variance below zero.
    variance = ((matrix @ covariance) * matrix).sum(-1).clamp(min=0)
    normalising = matrix * (variance + epsilon).rsqrt()[..., None]
    return (centred @ normalising.mT).view(*features.shape[:-1], len(matrix))


def _convolve(features: Tensor, weight: Tensor, stride: int) -> Tensor:
    dims = features.ndim - 2
    if not _is_paired(features, weight, stride):
        return _call(features, weight, [stride] * dims)
    result = _call(features, _pair(weight), [*[1] * (dims - 1), 2])
    return result.view(*features.shape[:-1], len(weight))


def _call(features: Tensor, weight: Tensor, strides: list[int]) -> Tensor:
    convolve = F.conv2d if features.ndim == 4 else F.conv3d
    result = convolve(features.movedim(-1, 1), weight, None, strides, 1)
    return result.movedim(1, -1).contiguous()


def _convolve_backward(
    gradient: Tensor, features: Tensor, weight: Tensor, stride: int, wants_features: bool
) -> tuple[Tensor | None, Tensor]:
    dims = features.ndim - 2
    if not _is_paired(features, weight, stride):
        return _call_backward(gradient, features, weight, [stride] * dims, wants_features)
    *shape, width, channels = gradient.shape
    two = gradient.view(*shape, width // 2, 2 * channels)
    strides = [*[1] * (dims - 1), 2]
    _, of_pair = _call_backward(two, features, _pair(weight), strides, wants_features=False)
    left, right = of_pair.chunk(2)
    of_weight = left[..., :-1] + right[..., 1:]
    if not wants_features:
        return None, of_weight
    turned = weight.transpose(0, 1).flip(*range(2, weight.ndim))
    return _convolve(gradient, turned, stride), of_weight


def _call_backward(
    gradient: Tensor, features: Tensor, weight: Tensor, strides: list[int], wants_features: bool
) -> tuple[Tensor | None, Tensor]:
    dims = features.ndim - 2
    of_features, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient.movedim(-1, 1),
        features.movedim(-1, 1),
        weight,
        None,
        strides,
        [1] * dims,
        [1] * dims,
        False,
        [0] * dims,
        1,
        [wants_features, True, False],
    )
    return of_features.movedim(1, -1) if wants_features else None, of_weight


def _is_paired(features: Tensor, weight: Tensor, stride: int) -> bool:
    """Say whether to convolve two neighbours along the last axis at once.

    Up to 8 channels leave half of a vector empty, and oneDNN takes as long as for 16. Written as a
    convolution of stride 2 with four taps in each row, whose channels are those of two voxels, the
    same sums take two thirds of the time.
    """
    return (
        stride == 1
        and 2 * len(weight) <= _LANES
        and features.shape[-2] % 2 == 0
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )


def _pair(weight: Tensor) -> Tensor:
    """Return weights (2·K, C, …, 4): of the left voxel of each two, then of the right one."""
    return torch.cat((F.pad(weight, (0, 1)), F.pad(weight, (1, 0))))


def _every(features: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th voxel along each axis, as a view."""
    return features[(slice(None), *[slice(None, None, stride)] * (features.ndim - 2))]


def _rows(features: Tensor) -> Tensor:
    """View as (B, rows, W·C)."""
    *_, width, channels = features.shape
    return features.view(len(features), -1, width * channels)


def _along_row(values: Tensor, width: int) -> Tensor:
    """Repeat values (B, C) as (B, 1, W·C): torch is slow where C values at a time are broadcast."""
    return values[:, None].expand(-1, width, -1).reshape(len(values), 1, -1)


def _sums(features: Tensor) -> Tensor:
    """Return the sum of each channel (B, C)."""
    *_, width, channels = features.shape
    return _rows(features).sum(1).view(-1, width, channels).sum(1)


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Return the sum over voxels of the products of two tensors, by channel (B, C)."""
    shape = len(one), -1, one.shape[-1]
    return torch.bmm(one.view(shape).mT, other.view(shape)).diagonal(dim1=1, dim2=2)

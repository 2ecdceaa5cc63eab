"""A convolution without bias and the instance norm after it, with a gradient of their own.

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


class ConvolutionNorm(torch.autograd.Function):
    """Convolve, then give every channel of every image zero mean and unit variance.

    Called as `ConvolutionNorm.apply(features, weight, stride, epsilon)` with contiguous features
    (B, *S, C) and weight (K, C, *k), k being 1 or 3 along every axis; the padding keeps the size
    where stride is 1. Returns contiguous features (B, *S', K).
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int, epsilon: float) -> Tensor:
        """Convolve and normalise."""
        result = _convolve(features, weight, stride)
        rows, width = _rows(result), result.shape[-2]
        # The mean goes first: E[x²] − E[x]² would lose digits where the mean is large.
        rows.sub_(_along_row(_sums(result).div_(result[0, ..., 0].numel()), width))
        inverse = _products(result, result).div(result[0, ..., 0].numel()).add_(epsilon).rsqrt_()
        rows.mul_(_along_row(inverse, width))
        ctx.save_for_backward(features, weight, result, inverse)
        ctx.stride = stride
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Return the gradients of features and weight."""
        features, weight, result, inverse = ctx.saved_tensors
        gradient, width = gradient.contiguous(), result.shape[-2]
        # (g − mean(g) − z·mean(g·z)) / σ, for z the normalised channel and g its gradient.
        means = torch.stack((_sums(gradient), _products(gradient, result)))
        offset, slope = means.mul_(inverse).div_(-result[0, ..., 0].numel())
        inner = torch.addcmul(_along_row(offset, width), _rows(result), _along_row(slope, width))
        inner.addcmul_(_rows(gradient), _along_row(inverse, width))
        of_features, of_weight = _convolve_backward(
            inner.view(result.shape), features, weight, ctx.stride, ctx.needs_input_grad[0]
        )
        return of_features, of_weight, None, None


def _convolve(features: Tensor, weight: Tensor, stride: int) -> Tensor:
    if weight.shape[2] == 1:
        # oneDNN's own kernel for this writes beyond its buffers where stride is 2 (torch 2.13).
        return F.linear(_every(features, stride), weight.flatten(1))
    convolve = F.conv2d if features.ndim == 4 else F.conv3d
    result = convolve(features.movedim(-1, 1), weight, None, stride, 1)
    return result.movedim(1, -1).contiguous()


def _convolve_backward(
    gradient: Tensor, features: Tensor, weight: Tensor, stride: int, wants_features: bool
) -> tuple[Tensor | None, Tensor]:
    of_features: Tensor | None = None
    if weight.shape[2] == 1:
        pixels = gradient.view(-1, gradient.shape[-1])
        seen = _every(features, stride).reshape(-1, features.shape[-1])
        of_weight = (pixels.T @ seen).view(weight.shape)
        if wants_features:
            of_features = torch.matmul(gradient, weight.flatten(1))
            if stride > 1:
                whole = torch.zeros_like(features)
                _every(whole, stride).copy_(of_features)
                of_features = whole
        return of_features, of_weight
    dims = features.ndim - 2
    of_features, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient.movedim(-1, 1),
        features.movedim(-1, 1),
        weight,
        None,
        [stride] * dims,
        [1] * dims,
        [1] * dims,
        False,
        [0] * dims,
        1,
        [wants_features, True, False],
    )
    return of_features.movedim(1, -1) if wants_features else None, of_weight


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

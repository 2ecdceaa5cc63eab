"""How well a pair was registered, judged without labels, and the gate that turns bad pairs away.

A registration can raise similarity and still be wrong; what it cannot do unseen is fold, stretch a
voxel to many times its size, or pull an organ across the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from medscale.config import Options
from medscale.data.cases import Array
from medscale.errors import DataError
from medscale.fields.interpolation import Band, separable
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import warp

WINDOW = 3.0
"""Standard deviation of the window of local correlation, voxels."""

VARIANCE_FLOOR = 1e-3
"""Local variance, of images in [0, 1], below which a place counts less than half."""

_ROUNDING = 1e-6
"""Variance that is no more than rounding, or the trace of one grey level in 256."""

CENTRE = 0.2
"""Standard deviation of the window that says where the centre is, share of the longest side."""


@torch.no_grad()
def pair_quality(moving: Tensor, fixed: Tensor, displacement: Tensor) -> dict[str, Tensor]:
    """Measure registered pairs, each for itself.

    Args:
        moving: (B, C, *S) in [0, 1].
        fixed: (B, C, *S) in [0, 1], the images to be reached.
        displacement: (B, D, *S) in voxels, pull-back, every axis at least 2 long.

    Returns:
        (B,) each, NaN where an image or the displacement is not finite throughout:

        - `similarity_before`, `similarity_after`: of `fixed` with `moving`, and with `moving` as
          warped; see `local_correlation`.
        - `least_jacobian`, `largest_jacobian`: of det ∇φ; 1 keeps volume, ≤ 0 folds.
        - `folds`: share of voxels that fold.
        - `mean_length`, `largest_length`: of the displacement, as shares of the longest side.
        - `pull`: length of the mean displacement about the centre of the image (a Gaussian window
          of `CENTRE`), as a share of the longest side: how far what lies there is carried as a
          whole.
    """
    dims, longest = displacement.shape[1], max(displacement.shape[2:])
    finite = torch.stack(
        [part.isfinite().flatten(1).all(1) for part in (moving, fixed, displacement)]
    ).all(0)
    mask = finite.view(-1, *[1] * (dims + 1))
    moving, fixed, displacement = (
        torch.where(mask, part, 0) for part in (moving, fixed, displacement)
    )
    jacobian = jacobian_determinant(displacement).flatten(1)
    length = displacement.square().sum(1).sqrt().flatten(1) / longest
    mean = (displacement * _centre(displacement)).flatten(2).sum(2)
    quality = {
        "similarity_before": local_correlation(moving, fixed),
        "similarity_after": local_correlation(warp(moving, displacement, padding="border"), fixed),
        "least_jacobian": jacobian.amin(1),
        "largest_jacobian": jacobian.amax(1),
        "folds": (jacobian <= 0).to(jacobian.dtype).mean(1),
        "mean_length": length.mean(1),
        "largest_length": length.amax(1),
        "pull": mean.norm(dim=1) / longest,
    }
    return {name: torch.where(finite, values, torch.nan) for name, values in quality.items()}


@torch.no_grad()
def local_correlation(image: Tensor, fixed: Tensor) -> Tensor:
    """Return the mean local correlation of pairs, weighted by where the fixed image varies.

    Local means a Gaussian `WINDOW`. A place with variance v of the fixed image has the weight
    v / (v + `VARIANCE_FLOOR`): flat regions, whose noise anything could fit, count nothing, and the
    weights are the same before and after registration.

    Args:
        image: (B, C, *S) in [0, 1].
        fixed: (B, C, *S) in [0, 1].

    Returns:
        (B,) in [-1, 1]: 1 for images equal up to gain and offset, 0 for unrelated ones or where
        `fixed` is flat.
    """
    channels = image.shape[1]
    products = torch.cat([image, fixed, image * image, fixed * fixed, image * fixed], dim=1)
    smooth = separable(products, [_gaussian(n) for n in image.shape[2:]])
    a, b, aa, bb, ab = smooth.view(len(image), 5, channels, *image.shape[2:]).unbind(1)
    spread, varying = (aa - a * a).clamp_min(0), (bb - b * b).clamp_min(0)
    local = (ab - a * b) / ((spread + _ROUNDING) * (varying + _ROUNDING)).sqrt()
    weight = varying / (varying + VARIANCE_FLOOR)
    total = weight.flatten(1).sum(1)
    mean: Tensor = (local * weight).flatten(1).sum(1) / total.clamp_min(_ROUNDING)
    return mean.clamp(-1, 1)


class Gate(Options):
    """Which registered pairs are good enough to learn shapes from.

    A rule turns a pair away where its number is not met; so does NaN.
    """

    least_gain: float = Field(
        default=0.1,
        ge=-2,
        le=2,
        description="least rise of the mean local correlation by registration, which spans -1 to 1",
    )
    least_similarity: float = Field(
        default=0.3,
        ge=-1,
        le=1,
        description="least mean local correlation after registration, -1 to 1",
    )
    least_jacobian: float = Field(
        default=0.1,
        description="least det of the map's gradient; 1 keeps volume, 0 and below folds",
    )
    largest_jacobian: float = Field(
        default=10.0, gt=0, description="largest det of the map's gradient, as a volume ratio"
    )
    largest_length: float = Field(
        default=0.25, gt=0, description="largest displacement, share of the longest side"
    )
    largest_pull: float = Field(
        default=0.1,
        gt=0,
        description="largest mean displacement about the image's centre, share of the longest side",
    )

    def passes(self, quality: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Return (N,) whether each pair passes every rule.

        Args:
            quality: (N,) numbers by name, as from `pair_quality`.

        Raises:
            DataError: If a number that a rule needs is missing.
        """
        met: NDArray[np.bool_] = np.logical_and.reduce(list(self._rules(quality).values()))
        return met

    def reasons(self, quality: Mapping[str, Array]) -> dict[str, int]:
        """Return how many pairs each rule turns away, by the option's name.

        One pair can be turned away by several rules.

        Raises:
            DataError: If a number that a rule needs is missing.
        """
        return {rule: int((~met).sum()) for rule, met in self._rules(quality).items()}

    def _rules(self, quality: Mapping[str, Array]) -> dict[str, NDArray[np.bool_]]:
        needed = (
            "similarity_before",
            "similarity_after",
            "least_jacobian",
            "largest_jacobian",
            "largest_length",
            "pull",
        )
        if missing := [name for name in needed if name not in quality]:
            raise DataError(
                f"the gate needs {', '.join(missing)} of every pair, got {sorted(quality)}: "
                "measure the pairs with pair_quality"
            )
        before, after, least, largest, length, pull = (
            np.asarray(quality[name], dtype=np.float64) for name in needed
        )
        # Written so that NaN, of a pair that failed, meets no rule.
        return {
            "least_gain": after - before >= self.least_gain,
            "least_similarity": after >= self.least_similarity,
            "least_jacobian": least >= self.least_jacobian,
            "largest_jacobian": largest <= self.largest_jacobian,
            "largest_length": length <= self.largest_length,
            "largest_pull": pull <= self.largest_pull,
        }


@lru_cache(maxsize=64)
def _gaussian(n: int) -> Band:
    """Return smoothing by the window along an axis of n voxels; beyond the border is nothing."""
    place = np.arange(n)
    distance = (place[:, None] - place) / WINDOW
    weights = np.where(np.abs(distance) <= 3.5, np.exp(-(distance**2) / 2), 0.0)
    return Band(weights / weights.sum(axis=1, keepdims=True))


def _centre(displacement: Tensor) -> Tensor:
    """Return (*S) weights about the image's centre, summing to 1."""
    shape = displacement.shape[2:]
    weight = displacement.new_ones(())
    for n in shape:
        place = torch.arange(n, dtype=displacement.dtype, device=displacement.device)
        distance = (place - (n - 1) / 2) / (CENTRE * max(shape))
        weight = weight[..., None] * torch.exp(-(distance**2) / 2)
    return weight / weight.sum()


__all__ = ["Gate", "local_correlation", "pair_quality"]

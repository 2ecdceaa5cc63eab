"""How alike two images are, and which way each pixel should change.

Each measure returns, for images a and b, its value (B,), 0 for equal images, and its slope
(B, C, *S): the derivative by each pixel of a, times the number of pixels, as if the image were a
function. Channels are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from medscale_registrar_lddmm.metric import Matrices, apply, transposed

WINDOW = 3.0
"""Standard deviation of the windows of local correlation, pixels of the level."""

STRIDE = 3
"""Pixels between neighbouring windows: the windows themselves hold no finer detail."""

FLOOR = 3e-4
"""Variance added to each window's: a window without contrast counts nothing, where correlation
would amplify its noise. The square of 0.017, on the scale [0, 1] of prepared images."""

WEIGHTS = {"lncc": 0.1, "ncc": 0.1, "ssd": 2.0}
"""Default weight of each measure against the squared length of the geodesic."""


class Similarity(Protocol):
    """A measure with one image fixed."""

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and slope for an image (B, C, *S)."""


Measure = Callable[[Tensor], Similarity]
"""Makes the similarity to a reference (B, C, *S)."""


class LocalCorrelation:
    """1 − mean squared correlation in Gaussian windows (Cachier et al. 2003; floor of variance).

    Args:
        reference: (B, C, *S).
    """

    def __init__(self, reference: Tensor) -> None:
        shape = reference.shape[2:]
        self._windows: Matrices = tuple(_windows(n, reference) for n in shape)
        self._back = transposed(self._windows)
        self._reference = reference
        self._mean = apply(self._windows, reference)
        variance = apply(self._windows, reference.square()) - self._mean.square()
        self._precision = 1 / (variance.clamp_min(0) + FLOOR)
        self._scale = -2.0 * math.prod(shape) / math.prod(self._mean.shape[2:])

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and slope."""
        channels = image.shape[1]
        # Written in place: joining what was made first costs a copy of all of it.
        powers = image.new_empty(image.shape[0], 3 * channels, *image.shape[2:])
        powers[:, :channels] = image
        torch.mul(image, image, out=powers[:, channels : 2 * channels])
        torch.mul(image, self._reference, out=powers[:, 2 * channels :])
        mean, square, product = torch.split(apply(self._windows, powers), channels, dim=1)
        precision = 1 / ((square - mean.square()).clamp_min(0) + FLOOR)
        covariance = product - mean * self._mean
        slope = covariance * precision * self._precision
        correlation = slope * covariance
        decay = correlation * precision
        value = 1 - correlation.flatten(1).mean(1)
        back = apply(
            self._back, torch.cat([slope, decay, decay * mean - slope * self._mean], dim=1)
        )
        by_reference, by_image, constant = torch.split(back, channels, dim=1)
        gradient = by_reference * self._reference - by_image * image + constant
        return value, gradient * (self._scale / channels)


class GlobalCorrelation:
    """1 − squared correlation of the whole images."""

    def __init__(self, reference: Tensor) -> None:
        self._centred = _centred(reference)
        self._variance = _mean(self._centred.square()) + 1e-8

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and slope."""
        centred = _centred(image)
        variance = _mean(centred.square()) + 1e-8
        covariance = _mean(centred * self._centred)
        correlation = covariance.square() / (variance * self._variance)
        slope = covariance / (variance * self._variance) * self._centred
        gradient = -2 * (slope - correlation / variance * centred)
        return 1 - correlation.flatten(1).mean(1), gradient / image.shape[1]


class SquaredDifference:
    """Mean squared difference."""

    def __init__(self, reference: Tensor) -> None:
        self._reference = reference

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and slope."""
        off = image - self._reference
        return off.square().flatten(1).mean(1), 2 * off / image.shape[1]


MEASURES: dict[str, Measure] = {
    "lncc": LocalCorrelation,
    "ncc": GlobalCorrelation,
    "ssd": SquaredDifference,
}


def _windows(points: int, like: Tensor) -> Tensor:
    """Return (1, windows, points): normalised Gaussians around every `STRIDE`-th pixel."""
    centres = torch.arange(0, points, STRIDE, dtype=torch.float64) + (STRIDE - 1) / 2
    away = torch.arange(points, dtype=torch.float64)[None] - centres[:, None]
    gauss = torch.exp(-0.5 * (away / WINDOW).square())
    # Cut off: the far tails are denormal numbers, which are slow to multiply.
    gauss = torch.where(away.abs() <= 3.5 * WINDOW, gauss, 0.0)
    return (gauss / gauss.sum(1, keepdim=True)).to(like)[None]


def _mean(image: Tensor) -> Tensor:
    return image.mean(dim=tuple(range(2, image.ndim)), keepdim=True)


def _centred(image: Tensor) -> Tensor:
    return image - _mean(image)

"""Random elastic deformation: normal offsets on a coarse control grid, made smooth.

The distribution is that of MONAI's `Rand2DElastic` without its affine part (Chu et al. 2025,
section 3.1), drawn for a whole batch at once. In 3-D, where the paper is silent, the same control
grid is interpolated linearly.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F

from medscale.errors import ConfigError
from medscale.fields.interpolation import Band, Spline
from medscale.training.deformation import deform
from medscale_augmenter_red.config import RedOptions

if TYPE_CHECKING:
    from torch import Tensor

    from medscale.protocols import Batch, PluginContext, PoolView


class RandomElastic:
    """A distribution over random elastic deformations.

    They come after the baseline's affine map, as in MONAI's `Rand2DElastic`.
    """

    frame: ClassVar[Literal["output"]] = "output"

    def __init__(self, config: RedOptions, context: PluginContext) -> None:
        if config.magnitude_max < config.magnitude_min:
            raise ConfigError(
                f"option red.magnitude_max got {config.magnitude_max:g}, expected at least "
                f"red.magnitude_min, {config.magnitude_min:g}"
            )
        self._config = config

    def fit(self, view: PoolView) -> None:
        """Learn nothing: the deformations are random."""

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return (B, D, *S) displacements in pixels, zero for the samples left alone.

        Where no sample of the batch is deformed, the field is a single zero that covers the image.
        """
        spline = self.spline(batch, generator)
        if spline is None:
            count, _, *shape = batch.images.shape
            return batch.images.new_zeros(count, len(shape), *[1] * len(shape))
        return spline.dense()

    def spline(self, batch: Batch, generator: torch.Generator) -> Spline | None:
        """Return the displacements as offsets (B, D, *control grid) of the control points."""
        shape = tuple(batch.images.shape[2:])
        count, dims = len(batch.images), len(shape)
        config = self._config
        drawn = torch.rand(count, 2, generator=generator)
        grid = [control_points(n, config.spacing) for n in shape]
        # Every sample draws its offsets, deformed or not, so that `prob` shifts no stream.
        offsets = torch.randn(count, dims, *grid, generator=generator)
        chosen = drawn[:, 0] < config.prob
        if not chosen.any():
            return None
        extent = config.magnitude_max - config.magnitude_min
        sigma = (config.magnitude_min + extent * drawn[:, 1]) * chosen
        offsets = offsets.mul_(sigma.view(-1, *[1] * (dims + 1))).to(batch.images.device)
        return interpolated(offsets, shape, config.spacing)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Warp images linearly and masks with threshold ½; zero outside."""
        return deform(batch, self.displacements(batch, generator))


def control_points(size: int, spacing: float) -> int:
    """Return how many control points an axis has: they cover it, with one more on each side."""
    if size % 2 == 0:
        return math.ceil((size - 1) / (2 * spacing) + 0.5) * 2 + 2
    return math.ceil((size - 1) / (2 * spacing)) * 2 + 3


def interpolated(offsets: Tensor, shape: tuple[int, ...], spacing: float) -> Spline:
    """Return the displacements (B, D, *shape) that offsets (B, D, *control grid) stand for.

    Bicubic in 2-D, as MONAI; both grids have the same centre.
    """
    mode = "bicubic" if len(shape) == 2 else "linear"
    axes = zip(offsets.shape[2:], shape, strict=True)
    return Spline(offsets, tuple(_band(points, size, spacing, mode) for points, size in axes))


@lru_cache(maxsize=64)
def _band(points: int, size: int, spacing: float, mode: str) -> Band:
    """Return the interpolation of one axis: what torch makes of each control point alone."""
    whole = math.floor(points * spacing)
    alone = torch.eye(points, dtype=torch.float64)
    if mode == "bicubic":
        # Two lines of the same: torch has no bicubic interpolation of one axis.
        alone = F.interpolate(
            alone[None, :, None].expand(1, points, 2, points), (2, whole), mode=mode
        )[0, :, 0]
    else:
        alone = F.interpolate(alone[None], whole, mode=mode)[0]
    return Band(alone.narrow(1, whole // 2 - size // 2, size).mT.numpy())

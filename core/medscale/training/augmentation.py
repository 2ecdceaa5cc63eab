"""The baseline augmentation, composed with an arm's deformation and resampled once.

Parameters are drawn first, for the whole batch, and applied deterministically: a batch gives what
its samples give one by one with the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medscale.fields.interpolation import Spline, resized
from medscale.fields.resampling import sample_together
from medscale.fields.warp import (
    affine_map,
    affine_then,
    compose,
    normalised,
    sample,
    then_affine,
)
from medscale.protocols import (
    Augmenter,
    Batch,
    SupportsDisplacements,
    SupportsFrame,
    SupportsSpline,
)
from medscale.training.checks import checked_batch, checked_field, checked_spline
from medscale.training.options import AugmentationOptions

_KNOTS = 10
"""Control points of the intensity curve (MONAI's RandHistogramShift default)."""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parameters:
    """What was drawn for a batch.

    Attributes:
        matrix: (B, D, D) in voxels, array axis order: where each output voxel looks, from the
            centre of the image.
        intensity: (B, K) shifts on the intensity scale; K is 1 for an offset, or the knots.
    """

    matrix: Tensor
    intensity: Tensor


def draw(
    count: int, dims: int, options: AugmentationOptions, generator: torch.Generator
) -> Parameters:
    """Draw the baseline's parameters for `count` samples of `dims` dimensions.

    Every sample uses the same number of random numbers, whatever the options, so that changing
    one range does not shift the draws of another.
    """
    planes = dims * (dims - 1) // 2
    parts = [dims, 1, planes, dims, dims * (dims - 1), 1, _KNOTS]
    # Arrays: for matrices this small, torch's calls would be all overhead.
    numbers = torch.rand(count, sum(parts), generator=generator).numpy().astype(np.float64)
    flips, on, angles, scales, shears, tone_on, tones = (
        numbers[:, start:stop] for start, stop in pairwise([0, *accumulate(parts)])
    )
    affine = _affine(
        (2 * angles - 1) * options.rotation,
        1 + (2 * scales - 1) * options.scale,
        (2 * shears - 1) * options.shear,
    )
    matrix = np.where(on[:, :, None] < options.affine, affine, np.eye(dims))
    matrix *= np.where(flips < options.flip, -1.0, 1.0)[:, None]
    knots = tones[:, :1] if options.histogram == "offset" else tones
    shift = (2 * knots - 1) * np.where(tone_on < options.intensity, options.amplitude, 0.0)
    return Parameters(
        torch.from_numpy(matrix.astype(np.float32)), torch.from_numpy(shift.astype(np.float32))
    )


@torch.no_grad()
def augment(
    batch: Batch,
    augmenters: Sequence[Augmenter],
    options: AugmentationOptions,
    generator: torch.Generator,
) -> Batch:
    """Apply the baseline and an arm's augmenters to a batch.

    An image goes through the arm's deformations in its own frame, in order, then the baseline
    affine, then those in the output's frame, in order; image and mask are resampled together, once.
    Augmenters that are no deformation follow, in order.

    However many numbers an arm draws, the generator goes on alike, so that the baseline of every
    batch is the same in all arms of a replicate.

    Raises:
        PluginError: If an augmenter returns what is no deformation, or no such batch.
    """
    parameters = draw(len(batch.images), batch.images.ndim - 2, options, generator)
    of_arm = arm_generator(generator)
    in_image, in_output = draw_displacements(batch, augmenters, of_arm)
    batch = apply(batch, parameters, options, in_image, in_output)
    for augmenter in augmenters:
        if not isinstance(augmenter, SupportsDisplacements):
            batch = checked_batch(augmenter.augment(batch, of_arm), augmenter, batch)
    return batch


def arm_generator(generator: torch.Generator) -> torch.Generator:
    """Return a generator for what an arm draws for one batch, after the baseline has drawn.

    The one that is given goes on by one number, however many the arm will draw.
    """
    return torch.Generator().manual_seed(int(torch.randint(2**63 - 1, (), generator=generator)))


def draw_displacements(
    batch: Batch, augmenters: Sequence[Augmenter], generator: torch.Generator
) -> tuple[Tensor | None, Tensor | Spline | None]:
    """Draw the deformations of an arm, those in the same frame composed in order.

    Returns:
        Displacements in the image's frame and in the output's (`SupportsFrame`), each (B, D, *G)
        in voxels of the image, G the image's grid or a coarser one; None where there are none.
        In the output's frame it may be a spline of the image's shape.

    Raises:
        PluginError: If an augmenter returns what is no deformation.
    """
    shape = tuple(batch.images.shape[2:])
    in_image: Tensor | None = None
    in_output: Tensor | Spline | None = None
    for augmenter in augmenters:
        if isinstance(augmenter, SupportsSpline):
            spline = checked_spline(augmenter.spline(batch, generator), augmenter, batch)
            in_output = composed(in_output, spline, shape)
        elif isinstance(augmenter, SupportsDisplacements):
            field = checked_field(augmenter.displacements(batch, generator), augmenter, batch)
            if isinstance(augmenter, SupportsFrame) and augmenter.frame == "output":
                in_output = composed(in_output, field, shape)
            else:
                in_image = composed(in_image, field, shape)
    return in_image, in_output


@torch.no_grad()
def apply(
    batch: Batch,
    parameters: Parameters,
    options: AugmentationOptions,
    in_image: Tensor | None = None,
    in_output: Tensor | Spline | None = None,
) -> Batch:
    """Apply drawn parameters and displacements: out(x) = in(y + u(y)), where y = A(x + v(x)).

    Args:
        batch: Images and masks.
        parameters: Of the baseline.
        options: Of the baseline.
        in_image: u, displacements (B, D, *G) in voxels of the image, in its own frame.
        in_output: v, the same in the output's frame, or a spline of the image's shape.

    Returns:
        The new batch: images linear, masks linear with threshold ½, zero outside, as published.
    """
    shape = tuple(batch.images.shape[2:])
    matrix = parameters.matrix.to(batch.images)
    where = _sampling_map(matrix, in_image, in_output, shape)
    shift = parameters.intensity.to(batch.images)
    if options.histogram == "offset":
        images, masks = sample_together(batch.images, batch.masks, where, shift[:, 0])
        return batch.replace(images=images, masks=masks)
    images, masks = sample_together(batch.images, batch.masks, where, torch.zeros_like(shift[:, 0]))
    return batch.replace(images=_bent(images, shift), masks=masks)


def _sampling_map(
    matrix: Tensor,
    in_image: Tensor | None,
    in_output: Tensor | Spline | None,
    shape: tuple[int, ...],
) -> Spline:
    """Return where every output voxel looks, (B, D, *S), as `affine_grid`."""
    if in_output is None:
        if in_image is None:
            return affine_map(matrix, shape)
        return affine_then(matrix, in_image, shape)
    where = then_affine(in_output, matrix, shape)
    if in_image is None:
        return where
    grid = where.dense()
    moves = sample(at_shape(in_image, shape), grid.movedim(1, -1), padding="border")
    return Spline.through(grid + normalised(moves, shape), shape)


@overload
def composed(first: Tensor | None, then: Tensor, shape: tuple[int, ...]) -> Tensor: ...


@overload
def composed(
    first: Tensor | Spline | None, then: Tensor | Spline | None, shape: tuple[int, ...]
) -> Tensor | Spline | None: ...


def composed(
    first: Tensor | Spline | None, then: Tensor | Spline | None, shape: tuple[int, ...]
) -> Tensor | Spline | None:
    """Return the displacement of one deformation and then another, where there are both.

    Args:
        first: (B, D, *G) in voxels of the image, a spline of its shape, or None.
        then: The same, of what comes second.
        shape: The image's spatial shape.
    """
    if first is None or then is None:
        return then if first is None else first
    return compose(at_shape(first, shape), at_shape(then, shape))


def at_shape(displacement: Tensor | Spline, shape: tuple[int, ...]) -> Tensor:
    """Return a displacement on the image's own grid, interpolated where it is coarser."""
    if isinstance(displacement, Spline):
        return displacement.dense()
    if tuple(displacement.shape[2:]) == shape:
        return displacement
    return resized(displacement, shape)


def _affine(angles: _Array, scales: _Array, shears: _Array) -> _Array:
    """Return rotation · shear · scaling, (B, D, D).

    Args:
        angles: (B, planes) of the rotation: one plane in 2-D, the three planes in turn in 3-D.
        scales: (B, D) by axis.
        shears: (B, D (D - 1)) angles whose tangents are the off-diagonal entries of the shear, row
            by row.
    """
    count, dims = scales.shape
    matrix = np.ones((count, dims, dims))
    matrix[:, ~np.eye(dims, dtype=bool)] = np.tan(shears)
    matrix *= scales[:, None]
    pairs = ((i, j) for i in range(dims) for j in range(i + 1, dims))
    for cosine, sine, (i, j) in zip(np.cos(angles).T, np.sin(angles).T, pairs, strict=True):
        # A rotation of one plane mixes two rows.
        turn = np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2)
        matrix[:, [i, j]] = turn @ matrix[:, [i, j]]
    return matrix


def _bent(images: Tensor, shift: Tensor) -> Tensor:
    """Return images in [0, 1] with their intensities along a curve; its knots are shifted."""
    knots = torch.linspace(0, 1, _KNOTS, dtype=images.dtype, device=images.device)
    # Running maxima keep the curve rising, so the order of intensities is never reversed.
    curve = (knots + shift).clamp(0, 1).cummax(dim=1).values
    place = images.flatten(1) * (_KNOTS - 1)
    left = place.floor().clamp(max=_KNOTS - 2)
    index = left.long()
    low, high = curve.gather(1, index), curve.gather(1, index + 1)
    return (low + (high - low) * (place - left)).view_as(images)


__all__ = [
    "Parameters",
    "apply",
    "at_shape",
    "augment",
    "composed",
    "draw",
    "draw_displacements",
]

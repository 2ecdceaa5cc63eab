"""The baseline augmentation, composed with an arm's deformation and resampled once.

Parameters are drawn first, for the whole batch, and applied deterministically: a batch gives what
its samples give one by one with the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.fields.warp import compose, normalised, sample
from medscale.protocols import Augmenter, Batch, SupportsDisplacements
from medscale.training.options import AugmentationOptions

_KNOTS = 10
"""Control points of the intensity curve (MONAI's RandHistogramShift default)."""


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
    shears = dims * (dims - 1)
    drawn = torch.rand(count, dims + 1 + planes + dims + shears + 1 + _KNOTS, generator=generator)
    flips, on, angles, scales, shear, tone_on, tones = torch.split(
        drawn, [dims, 1, planes, dims, shears, 1, _KNOTS], dim=1
    )
    identity = torch.eye(dims).expand(count, dims, dims)
    matrix = _shear((2 * shear - 1) * options.shear, identity)
    matrix = matrix @ torch.diag_embed(1 + (2 * scales - 1) * options.scale)
    matrix = _rotation((2 * angles - 1) * options.rotation, identity) @ matrix
    matrix = torch.where((on < options.affine)[:, :, None], matrix, identity)
    matrix = matrix * torch.where(flips < options.flip, -1.0, 1.0)[:, None, :]
    knots = tones[:, :1] if options.histogram == "offset" else tones
    shift = (2 * knots - 1) * options.amplitude
    return Parameters(matrix, torch.where(tone_on < options.intensity, shift, 0.0))


def augment(
    batch: Batch,
    augmenters: Sequence[Augmenter],
    options: AugmentationOptions,
    generator: torch.Generator,
) -> Batch:
    """Apply the baseline and an arm's augmenters to a batch.

    Deformations of the arm are composed in order, then the baseline affine on top, and image and
    mask are resampled together, once. Augmenters that are no deformation follow, in order.
    """
    parameters = draw(len(batch.images), batch.images.ndim - 2, options, generator)
    displacement = draw_displacement(batch, augmenters, generator)
    batch = apply(batch, parameters, options, displacement)
    for augmenter in augmenters:
        if not isinstance(augmenter, SupportsDisplacements):
            batch = augmenter.augment(batch, generator)
    return batch


def draw_displacement(
    batch: Batch, augmenters: Sequence[Augmenter], generator: torch.Generator
) -> Tensor | None:
    """Draw the deformation of an arm: those of its augmenters, composed in order.

    Returns:
        (B, D, *G) in voxels of the image, G the image's grid or a coarser one; None where no
        augmenter of the arm deforms.
    """
    shape = tuple(batch.images.shape[2:])
    displacement: Tensor | None = None
    for augmenter in augmenters:
        if isinstance(augmenter, SupportsDisplacements):
            field = augmenter.displacements(batch, generator)
            displacement = field if displacement is None else _compose(displacement, field, shape)
    return displacement


def apply(
    batch: Batch,
    parameters: Parameters,
    options: AugmentationOptions,
    displacement: Tensor | None = None,
) -> Batch:
    """Apply drawn parameters and a displacement: out(x) = in(Ax + u(Ax)).

    Args:
        batch: Images and masks.
        parameters: Of the baseline.
        options: Of the baseline.
        displacement: (B, D, *G) in voxels of the image, or None.

    Returns:
        The new batch: images linear, masks linear with threshold ½, zero outside, as published.
    """
    images = batch.images
    shape = tuple(images.shape[2:])
    grid = _affine_grid(parameters.matrix.to(images), shape)
    if displacement is not None:
        moves = sample(normalised(displacement, shape), grid, padding="border")
        grid = grid + moves.movedim(1, -1)
    # One gather for image and mask together: the grid is read once.
    warped = sample(torch.cat([images, batch.masks], dim=1), grid)
    images, masks = torch.split(warped, [images.shape[1], batch.masks.shape[1]], dim=1)
    return batch.replace(
        images=_shift_intensity(images, parameters.intensity.to(images), options),
        masks=(masks >= 0.5).to(images.dtype),
    )


def _affine_grid(matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the normalised sampling grid (B, *S, D) of matrices given in voxels."""
    half = matrix.new_tensor([n / 2 for n in shape])
    scaled = matrix * half[None, None, :] / half[None, :, None]
    theta = F.pad(scaled.flip(1, 2), (0, 1))
    return F.affine_grid(theta, [len(matrix), 1, *shape], align_corners=False)


def _compose(first: Tensor, then: Tensor, shape: tuple[int, ...]) -> Tensor:
    return compose(at_shape(first, shape), at_shape(then, shape))


def at_shape(displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a displacement on the image's own grid, interpolated where it is coarser."""
    if tuple(displacement.shape[2:]) == shape:
        return displacement
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return F.interpolate(displacement, shape, mode=mode, align_corners=False)


def _rotation(angles: Tensor, identity: Tensor) -> Tensor:
    """Return rotations (B, D, D): one plane in 2-D, the three planes in turn in 3-D."""
    dims = identity.shape[-1]
    result = identity
    planes = [(i, j) for i in range(dims) for j in range(i + 1, dims)]
    for plane, (i, j) in enumerate(planes):
        turn = identity.clone()
        cosine, sine = torch.cos(angles[:, plane]), torch.sin(angles[:, plane])
        turn[:, i, i], turn[:, j, j] = cosine, cosine
        turn[:, i, j], turn[:, j, i] = -sine, sine
        result = turn @ result
    return result


def _shear(angles: Tensor, identity: Tensor) -> Tensor:
    """Return shears (B, D, D) whose off-diagonal entries are the tangents of the angles."""
    dims = identity.shape[-1]
    result = identity.clone()
    result[:, ~torch.eye(dims, dtype=torch.bool)] = torch.tan(angles)
    return result


def _shift_intensity(images: Tensor, shift: Tensor, options: AugmentationOptions) -> Tensor:
    if options.histogram == "offset":
        return (images + shift.view(-1, *[1] * (images.ndim - 1))).clamp(0, 1)
    knots = torch.linspace(0, 1, _KNOTS, dtype=images.dtype, device=images.device)
    # Running maxima keep the curve rising, so the order of intensities is never reversed.
    curve = (knots + shift).clamp(0, 1).cummax(dim=1).values
    place = images.clamp(0, 1).flatten(1) * (_KNOTS - 1)
    left = place.floor().clamp(max=_KNOTS - 2)
    index = left.long()
    low, high = curve.gather(1, index), curve.gather(1, index + 1)
    return (low + (high - low) * (place - left)).view_as(images)


__all__ = ["Parameters", "apply", "at_shape", "augment", "draw", "draw_displacement"]

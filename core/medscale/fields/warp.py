"""Warping images by displacements and affine maps, and composing them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medscale.fields.interpolation import Ramp, Spline, resized

_FINER = 4
"""How much finer than its own lattice a coarse displacement is made, at most, to be read linearly
between its samples, where no compiled loop reads the cubic itself. A wave of 14 lattice steps comes
out wrong by 0.16 % of its amplitude at most: less than by the lattice itself."""


def normalised(displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Convert a displacement to the units and channel order of `grid_sample`.

    Args:
        displacement: (B, D, *G) in voxels of an image of that shape, array axis order.
        shape: The image's spatial shape S.

    Returns:
        (B, D, *G) in units where the image spans [-1, 1], last axis first.
    """
    scale = displacement.new_tensor([2.0 / n for n in reversed(shape)])
    return displacement.flip(1) * scale.view(1, -1, *[1] * len(shape))


def identity_grid(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return the sampling grid (1, *S, D) of the identity, in `grid_sample`'s units and order."""
    dims = len(shape)
    theta = torch.eye(dims, dims + 1, dtype=like.dtype, device=like.device)[None]
    return F.affine_grid(theta, [1, 1, *shape], align_corners=False)


def sample(image: Tensor, grid: Tensor, *, padding: str = "zeros") -> Tensor:
    """Sample (B, C, *S) linearly at a grid (B, *T, D) in normalised units.

    Args:
        image: What to sample.
        grid: Where, as `grid_sample` takes it.
        padding: "zeros" outside the image, or "border".
    """
    return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def warp(image: Tensor, displacement: Tensor, *, padding: str = "zeros") -> Tensor:
    """Pull an image back along a displacement, by linear interpolation.

    Args:
        image: (B, C, *S) floating point.
        displacement: (B, D, *S) in voxels.
        padding: "zeros" outside the image (as published for the augmentations), or "border".

    Returns:
        (B, C, *S), where out(x) = image(x + u(x)).
    """
    shape = tuple(image.shape[2:])
    grid = identity_grid(shape, image) + normalised(displacement, shape).movedim(1, -1)
    return sample(image, grid, padding=padding)


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Return the displacement of warping by `first` and then by `then`.

    warp(warp(image, first), then) = warp(image, compose(first, then)) up to interpolation:
    u(x) = then(x) + first(x + then(x)).

    Args:
        first: (B, D, *S) in voxels.
        then: (B, D, *S) in voxels.
    """
    return then + warp(first, then, padding="border")


@torch.no_grad()
def affine_grid(matrix: Tensor, shape: tuple[int, ...], lattice: tuple[int, ...]) -> Tensor:
    """Return where affine maps look, at the cells of a lattice that covers the image.

    Args:
        matrix: (B, D, D) in voxels, array axis order, about the image's centre.
        shape: The image's spatial shape S.
        lattice: G, S itself or a coarser grid over the same field of view.

    Returns:
        (B, D, *G) in normalised units, last axis first. `grid_sample` takes its `movedim(1, -1)`,
        and reads that layout faster than it could be copied into another.
    """
    steps = _steps(matrix, shape)
    dims = len(shape)
    # What each axis of the lattice adds to every component.
    lines = [
        torch.from_numpy((steps[:, :, axis, None] * _cells(n)).astype(np.float32))
        .to(matrix)
        .view(-1, dims, *[1] * axis, n, *[1] * (dims - 1 - axis))
        for axis, n in enumerate(lattice)
    ]
    return sum(lines[1:], start=lines[0])


def affine_map(matrix: Tensor, shape: tuple[int, ...]) -> Spline:
    """Return where affine maps (B, D, D) look, as `affine_grid`, for an image of that shape."""
    # Two samples along each axis say all about a map of first degree.
    return Spline.through(affine_grid(matrix, shape, (2,) * len(shape)), shape)


def _steps(matrix: Tensor, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return (B, D, D): how far each component looks on along each axis, both in normalised units.

    Components come last axis first. Arrays of a few numbers: numpy's overhead is a fraction of
    torch's.
    """
    extent = np.array(shape, dtype=np.float64)
    steps: NDArray[np.float64] = (matrix.numpy(force=True) * (extent / extent[:, None]))[:, ::-1]
    return steps


@lru_cache(maxsize=64)
def _cells(n: int) -> NDArray[np.float64]:
    """Return the centres of n cells that span [-1, 1]."""
    return np.arange(1 - n, n, 2) / n


@torch.no_grad()
def affine_then(matrix: Tensor, displacement: Tensor, shape: tuple[int, ...]) -> Spline:
    """Return the sampling map of out(x) = image(Ax + u(Ax)).

    Where the displacement is as fine as the image, it is interpolated linearly at Ax; where A only
    flips, Ax are cells and nothing is interpolated. A coarse displacement stands for a function as
    smooth as its samples let it look (`resized`), and so is the map: it is evaluated on the coarse
    lattice, and the map itself is interpolated to the image's grid. Along each axis, a wave of
    period 10 lattice steps comes out wrong by about 1 % of its amplitude, one of 20 by 0.1 %.

    Args:
        matrix: (B, D, D), as in `affine_grid`.
        displacement: (B, D, *G) in voxels of the image; a grid of one cell is a translation.
        shape: The image's spatial shape S.

    Returns:
        A field (B, D, *S) in normalised units, last axis first, as `affine_grid`.
    """
    lattice = tuple(displacement.shape[2:])
    if max(lattice) == 1:
        grid = affine_map(matrix, shape)
        return replace(grid, values=grid.values + normalised(displacement, shape))
    if min(lattice) == 1:
        displacement, lattice = resized(displacement, shape), shape
    flat = displacement.device.type == "cpu" and displacement.dtype == torch.float32
    if flat and len(shape) == 2 and lattice != shape:
        return Spline.through(_compiled_affine_then(matrix, displacement, shape), shape)
    places = affine_grid(matrix, shape, lattice)
    _add_at(places, displacement, matrix.tolist(), shape)
    return Spline.through(places, shape)


def _compiled_affine_then(matrix: Tensor, displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the places of `affine_then`, on the lattice of a coarse displacement."""
    # Numba takes a while to import, and much of medscale does without.
    from medscale.fields import composition_kernel

    places = np.empty(displacement.shape, np.float32)
    down, across = (_cells(n).astype(np.float32) for n in displacement.shape[2:])
    composition_kernel.affine_then(
        _steps(matrix, shape).astype(np.float32),
        down,
        across,
        displacement.contiguous().numpy(),
        np.array([2 / n for n in shape], np.float32),
        places,
    )
    return torch.from_numpy(places)


@torch.no_grad()
def then_affine(displacement: Tensor | Spline, matrix: Tensor, shape: tuple[int, ...]) -> Spline:
    """Return the sampling map of out(x) = image(A(x + u(x))) = image(Ax + A u(x)).

    Unlike in `affine_then`, u is needed where it lies. As there, the map of a coarse displacement
    is evaluated on its lattice, and interpolated to the image's grid. Of a spline, A turns the
    coefficients.

    Args:
        displacement: (B, D, *G) in voxels of the image; a grid of one cell is a translation. Or a
            spline of that shape S.
        matrix: (B, D, D), as in `affine_grid`.
        shape: The image's spatial shape S.

    Returns:
        A field (B, D, *S) in normalised units, last axis first, as `affine_grid`.
    """
    scale = matrix.new_tensor([2.0 / n for n in reversed(shape)])
    turn = matrix.flip(1) * scale[:, None]
    if isinstance(displacement, Spline) and displacement.plus is not None:
        displacement = displacement.dense()
    if isinstance(displacement, Spline):
        values = (turn @ displacement.values.flatten(2)).view_as(displacement.values)
        return Spline(values, displacement.bands, plus=_affine_ramp(matrix, shape))
    lattice = tuple(displacement.shape[2:])
    if max(lattice) == 1:
        grid = affine_map(matrix, shape)
        shift = (turn @ displacement.flatten(2)).view_as(displacement)
        return replace(grid, values=grid.values + shift)
    if min(lattice) == 1:
        displacement, lattice = resized(displacement, shape), shape
    places = affine_grid(matrix, shape, lattice)
    places.flatten(2).baddbmm_(turn, displacement.flatten(2))
    return Spline.through(places, shape)


def _affine_ramp(matrix: Tensor, shape: tuple[int, ...]) -> Ramp:
    """Return `affine_grid` at the image's cells as a ramp."""
    last = _steps(matrix, shape)[:, :, -1].astype(np.float32)
    return Ramp(
        offset=affine_grid(matrix, shape, (*shape[:-1], 1)).squeeze(-1),
        slope=torch.from_numpy(last).to(matrix),
        places=torch.from_numpy(_cells(shape[-1]).astype(np.float32)).to(matrix),
    )


def _add_at(
    grid: Tensor, displacement: Tensor, matrices: list[list[list[float]]], shape: tuple[int, ...]
) -> None:
    """Add the displacements at the places of an affine grid to it.

    Sample by sample: each is its own case, and its memory is still at hand from one step to the
    next, which on a CPU is worth more than fewer calls.
    """
    flips = [_flipped_axes(matrix) for matrix in matrices]
    fields = list(torch.split(displacement, 1))
    turned = [row for row, axes in enumerate(flips) if axes is None]
    finer = tuple(min(_FINER * g, n) for g, n in zip(displacement.shape[2:], shape, strict=True))
    if turned and displacement.shape[2:] != finer:
        fine = torch.split(resized(displacement[turned], finer), 1)
        for row, field in zip(turned, fine, strict=True):
            fields[row] = field
    for field, place, axes in zip(fields, torch.split(grid, 1), flips, strict=True):
        if axes is None:
            moves = sample(field, place.movedim(1, -1), padding="border")
        else:
            moves = field.flip(axes) if axes else field
        for axis, n in enumerate(shape):
            place.select(1, -1 - axis).add_(moves.select(1, axis), alpha=2 / n)


def _flipped_axes(matrix: list[list[float]]) -> list[int] | None:
    """Return the tensor axes that a matrix flips; None where it does more."""
    diagonal = [row[axis] for axis, row in enumerate(matrix)]
    if any(abs(x) != 1 for x in diagonal) or sum(x != 0 for row in matrix for x in row) != len(
        matrix
    ):
        return None
    return [axis for axis, x in enumerate(diagonal, start=2) if x < 0]

"""Separable interpolation by small banded matrices: coarse fields on the image's grid.

A tensor-product interpolation is one matrix product per axis. Every output depends on a few inputs
only, so a matrix is kept as tiles of its band; what lies outside costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Band:
    """An interpolation along one axis: a matrix whose rows are zero but for a few columns.

    Attributes:
        size: Outputs.
        identity: Whether outputs are the inputs.
    """

    def __init__(self, matrix: NDArray[np.float64]) -> None:
        """Take a matrix (outputs, inputs)."""
        self._matrix = matrix
        self.size = len(matrix)
        self.identity = np.array_equal(matrix, np.eye(self.size))

    @cached_property
    def taps(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The first input that each output depends on, and the weights of those from there.

        Returns:
            (outputs,) and (outputs, T), T a multiple of 4; inputs from `inputs` on, should there
            be fewer than T, have no weight.
        """
        used = self._matrix != 0
        first = used.argmax(axis=1)
        past = self._matrix.shape[1] - used[:, ::-1].argmax(axis=1)
        count = 4 * math.ceil(max(1, int((past - first).max())) / 4)
        starts = np.clip(first, 0, max(0, self._matrix.shape[1] - count))
        wide = np.pad(self._matrix, ((0, 0), (0, max(0, count - self._matrix.shape[1]))))
        weights = np.take_along_axis(wide, starts[:, None] + np.arange(count), axis=1)
        return starts.astype(np.int32), weights.astype(np.float32)

    def leading(self, like: Tensor) -> tuple[_Tile, ...]:
        """Return the tiles for an axis that is not the last."""
        # Measured: 32 inputs a tile; dense up to there.
        length = 32 * self.size // self._matrix.shape[1]
        return _tiles(self, min(max(length, 64), 256), like.device, like.dtype)

    def last(self, like: Tensor) -> tuple[_Tile, ...]:
        """Return the tiles for the last axis, where products are small and many."""
        # Measured: about 16 inputs a tile. More would multiply zeros, fewer would be all overhead.
        length = 16 * self.size // self._matrix.shape[1]
        return _tiles(self, min(max(length, 64), 128), like.device, like.dtype)

    def cut(self, length: int) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
        """Cut the band into about that many outputs each: targets, sources, weights."""
        # Of equal length: no narrow rest at the end.
        edges = np.linspace(0, self.size, max(1, round(self.size / length)) + 1)
        for start, stop in pairwise(edges.round().astype(int).tolist()):
            used = np.flatnonzero(self._matrix[start:stop].any(axis=0))
            source = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
            yield slice(start, stop), source, self._matrix[start:stop, source]


@dataclass(frozen=True)
class _Tile:
    """Outputs that need a range of inputs: out[target] = weights @ in[source]."""

    target: slice
    source: slice
    weights: Tensor


@lru_cache(maxsize=256)
def _tiles(band: Band, length: int, device: torch.device, dtype: torch.dtype) -> tuple[_Tile, ...]:
    # What is made in inference mode could not be used outside it.
    with torch.inference_mode(False):
        return tuple(
            _Tile(target, source, torch.from_numpy(weights.copy()).to(device, dtype))
            for target, source, weights in band.cut(length)
        )


class Ramp(NamedTuple):
    """A field that is linear along its last axis: offset + slope · place.

    Attributes:
        offset: (B, C, *S[:-1]).
        slope: (B, C).
        places: (S[-1],) along the last axis.
    """

    offset: Tensor
    slope: Tensor
    places: Tensor

    def lines(self) -> Tensor:
        """Return (N, 2): offset and slope of each line along the last axis."""
        slope = self.slope.view(*self.slope.shape, *[1] * (self.offset.ndim - 2))
        return torch.stack([self.offset, slope.expand_as(self.offset)], dim=-1).view(-1, 2)


@dataclass(frozen=True)
class Spline:
    """A field given by coefficients on a grid of its own, mostly a coarse one.

    Attributes:
        values: (B, C, *G) the coefficients.
        bands: What they stand for along each axis of G; their sizes are the field's shape S.
        plus: What is added to that.
    """

    values: Tensor
    bands: tuple[Band, ...]
    plus: Ramp | None = None

    @classmethod
    def through(cls, samples: Tensor, shape: tuple[int, ...]) -> Spline:
        """Return the cubic that goes through samples (B, C, *G), as of `resized`."""
        axes = zip(samples.shape[2:], shape, strict=True)
        return cls(samples, tuple(cubic(n, m) for n, m in axes))

    def dense(self) -> Tensor:
        """Return the field (B, C, *S); it carries no gradient."""
        if self.plus is None and all(band.identity for band in self.bands):
            return self.values
        return separable(self.values, self.bands, self.plus)


@torch.no_grad()
def separable(field: Tensor, bands: Sequence[Band], plus: Ramp | None = None) -> Tensor:
    """Interpolate a field along every axis; the result carries no gradient.

    Args:
        field: (B, C, *G) floating point.
        bands: One for each axis of G.
        plus: What is added to the result, in the same pass over its memory.

    Returns:
        (B, C, *S), contiguous, S the bands' sizes.
    """
    # The first axes while the others are still coarse, so that most of the work is the last.
    for axis, band in enumerate(bands[:-1], start=2):
        before, after = field.shape[:axis], field.shape[axis + 1 :]
        flat = field.reshape(math.prod(before), field.shape[axis], math.prod(after))
        out = flat.new_empty(len(flat), band.size, flat.shape[2])
        for tile in band.leading(field):
            torch.matmul(tile.weights, flat[:, tile.source], out=out[:, tile.target])
        field = out.view(*before, band.size, *after)
    return along_last(field, bands[-1], plus)


def along_last(field: Tensor, band: Band, plus: Ramp | None = None) -> Tensor:
    """Interpolate a field (…, G) along its last axis, giving (…, S), contiguous.

    Args:
        field: Floating point.
        band: The interpolation.
        plus: What is added to the result, in the same pass over its memory.
    """
    if band.identity and plus is None:
        return field.contiguous()
    flat = field.reshape(-1, field.shape[-1])
    out = flat.new_empty(len(flat), band.size)
    lines = None if plus is None else plus.lines()
    for tile in band.last(field):
        inputs, weights = flat[:, tile.source], tile.weights
        if plus is not None and lines is not None:
            # Two more inputs of the same product: offset times 1, and slope times place.
            places = plus.places[tile.target, None]
            inputs = torch.cat([inputs, lines], dim=1)
            weights = torch.cat([weights, torch.ones_like(places), places], dim=1)
        torch.mm(inputs, weights.mT, out=out[:, tile.target])
    return out.view(*field.shape[:-1], band.size)


def resized(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Interpolate a field to a finer grid over the same field of view, by cubics.

    Functions of first degree are reproduced everywhere, up to the border, and those of second
    degree further inside. Along each axis the error is about 0.016 h³ |f‴| at most, where h is the
    distance of the samples.

    Args:
        field: (B, C, *G), samples at cell centres, every axis 1 or more long.
        shape: S, at least as fine as G.

    Returns:
        (B, C, *S).
    """
    return Spline.through(field, shape).dense()


def continued(field: Tensor) -> Tensor:
    """Return a field (B, C, *G) one cell wider on every side, as `resized` takes it to go on."""
    for axis in range(2, field.ndim):
        first, second = field.narrow(axis, 0, 1), field.narrow(axis, 1, 1)
        last, before = field.narrow(axis, -1, 1), field.narrow(axis, -2, 1)
        field = torch.cat([2 * first - second, field, 2 * last - before], dim=axis)
    return field


@lru_cache(maxsize=256)
def cubic(count: int, size: int) -> Band:
    """Return the interpolation from `count` cells to `size` over the same extent.

    Cubic convolution with a = -1/2 (Keys 1981, equation 15), which unlike torch's -3/4 reproduces
    lines. Beyond the border the field goes on in a straight line.
    """
    return _cubic_at(count, (np.arange(size) + 0.5) * count / size - 0.5)


@lru_cache(maxsize=256)
def cubic_edges(count: int, parts: int) -> Band:
    """Return `cubic` to the edges of cells that are each cut into parts: parts · count + 1."""
    return _cubic_at(count, np.arange(parts * count + 1) / parts - 0.5)


def _cubic_at(count: int, places: NDArray[np.float64]) -> Band:
    """Return the interpolation from `count` cells to places, the first cell's centre being 0."""
    beyond = 2
    weights = cubic_weights(places[:, None] - np.arange(-beyond, count + beyond), -0.5)
    inside = weights[:, beyond : beyond + count].copy()
    for step in range(1, beyond + 1):
        # f(-step) = f(0) + step (f(0) - f(1)), and so at the other end; constant for one sample.
        for outside, edge, inner in ((beyond - step, 0, 1), (beyond + count - 1 + step, -1, -2)):
            inside[:, edge] += weights[:, outside]
            if count > 1:
                inside[:, edge] += step * weights[:, outside]
                inside[:, inner] -= step * weights[:, outside]
    return Band(inside)


def cubic_weights(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Return weights of cubic convolution at distances in samples (Keys 1981, equation 4)."""
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))

"""From a geodesic to its map: points that travel with the velocity, forwards or backwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from medscale.fields.warp import identity_grid, sample
from medscale_registrar_lddmm.geodesic import Knot
from medscale_registrar_lddmm.metric import Matrices, Metric, apply

Direction = Literal["forward", "backward"]
"""Forward is φ(1) on the moving grid; backward is its inverse on the fixed grid, which pulls the
moving image back."""

DIRECTIONS: tuple[Direction, Direction] = ("forward", "backward")


class Flow:
    """Carries points along geodesics of a metric.

    Args:
        metric: The space of velocities.
        points: Grid of the points that travel.
        samples: Grid on which velocities are laid out to be read between its points.
        shape: Grid on which the displacement is wanted; interpolated from that of the points.

    Attributes:
        points: Grid of the points that travel.
        samples: Grid on which velocities are laid out.
    """

    def __init__(
        self, metric: Metric, points: Sequence[int], samples: Sequence[int], shape: Sequence[int]
    ) -> None:
        self._metric = metric
        self.points, self.samples = tuple(points), tuple(samples)
        # grid_sample counts axes from the last, so components are turned before they are laid out.
        self._layout = _turned(metric.basis(samples))
        self._at_points = _turned(metric.basis(points))
        # To the units of grid_sample, in which an axis is 2 long.
        scale = metric.kernel.new_tensor([2.0 / side for side in metric.lengths])
        self._kernel = (scale.view(-1, *[1] * metric.dims) * metric.kernel).flip(0)
        self._identity = identity_grid(self.points, metric.kernel)
        # Back from there, to voxels.
        self._halves = metric.kernel.new_tensor([n / 2 for n in shape]).view(-1, *[1] * metric.dims)
        self._spread: Matrices | None = None
        if tuple(shape) != self.points:
            self._spread = tuple(
                _cosine_interpolation(to, at, metric.kernel)
                for to, at in zip(shape, points, strict=True)
            )

    def carry(self, path: list[Knot], direction: Direction) -> Tensor:
        """Return the displacements (B, D, *points) of the travelling points, by midpoint steps.

        In the units and order of `grid_sample`. A point's velocity at the end of a step is not
        read: on a straight line through those at its start and its middle it is as good (of
        registered hearts and hippocampi, and of codes twice as long, maps are as far from their
        limit either way).

        The path has to be finite: a NaN among the points makes grid_sample read outside its memory
        (torch 2.13 on a CPU).
        """
        start, middles = self._velocities(path, direction)
        step = 1.0 / len(middles)
        moved, slope = self._identity, start.movedim(1, -1)
        for middle in middles:
            halfway = _at(middle, torch.add(moved, slope, alpha=step / 2))
            moved = torch.add(moved, halfway, alpha=step)
            slope = 2 * halfway - slope
        return (moved - self._identity).movedim(-1, 1)

    def spread(self, field: Tensor) -> Tensor:
        """Interpolate a field (B, C, *points) to (B, C, *shape), band-limited by its points."""
        return field if self._spread is None else apply(self._spread, field)

    def in_voxels(self, field: Tensor) -> Tensor:
        """Return a field (B, D, *shape) as displacements in voxels, in array axis order."""
        return field.flip(1) * self._halves

    def _velocities(self, path: list[Knot], direction: Direction) -> tuple[Tensor, list[Tensor]]:
        """Return the velocity at the start, at the points, and those in the middle of each step.

        The latter have to be read between samples.
        """
        step = 1.0 / (len(path) - 1)
        pairs = list(itertools.pairwise(path))
        if direction == "backward":
            pairs = [(late, early) for early, late in reversed(pairs)]
        sign = 1 if direction == "forward" else -1
        # Hermite's cubic at its middle; rates are along time, which may run backwards.
        momenta = [
            (here.momentum + there.momentum) / 2 + sign * step / 8 * (here.rate - there.rate)
            for here, there in pairs
        ]
        velocities = torch.stack([pairs[0][0].momentum, *momenta]).flip(2) * (sign * self._kernel)
        middles = apply(self._layout, velocities[1:].flatten(0, 1))
        start = apply(self._at_points, velocities[0])
        return start, list(middles.view(-1, *start.shape[:2], *middles.shape[2:]).unbind())


def _at(velocity: Tensor, grid: Tensor) -> Tensor:
    """Read a velocity at points (B, *P, D); beyond the border it is that of the border."""
    return sample(velocity, grid, padding="border").movedim(1, -1)


def _turned(matrices: Matrices) -> Matrices:
    return tuple(matrix.flip(0) for matrix in matrices)


def _cosine_interpolation(to: int, at: int, like: Tensor) -> Tensor:
    """Return (1, to, at): band-limited interpolation between cell centres."""

    def waves(points: int) -> Tensor:
        place = (torch.arange(points, dtype=torch.float64)[:, None] + 0.5) / points
        number = torch.arange(at, dtype=torch.float64)
        return torch.cos(torch.pi * place * number) * torch.where(number == 0, 1.0, 2.0**0.5)

    return (waves(to) @ waves(at).T / at).to(like)[None]

"""The energy of a geodesic and the direction in which to change its code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medscale.fields.warp import identity_grid, sample
from medscale_registrar_lddmm.flow import Flow
from medscale_registrar_lddmm.metric import Metric, apply, transposed
from medscale_registrar_lddmm.similarity import Measure
from medscale_registrar_lddmm.travel import make_travel


class Objective:
    """½|z|² + weight · dissimilarity of pairs at one resolution.

    The direction is the gradient by the velocity at time 0 of the energy of *paths* (Beg et al.
    2005, eq. 10, at t = 0): z − K^½ (body force carried back to the moving image). It vanishes
    exactly at the geodesics that are optimal, costs one forward pass, and needs no automatic
    differentiation. With `symmetric`, the dissimilarity is the mean of those at the fixed image
    (moving pulled back) and at the moving image (fixed pulled back by the forward map).

    Args:
        metric: The space of velocities.
        moving: (B, C, *S).
        fixed: (B, C, *S).
        measure: The similarity.
        weight: Its weight.
        steps: Of a geodesic.
        symmetric: Compare at both ends.
    """

    def __init__(
        self,
        metric: Metric,
        moving: Tensor,
        fixed: Tensor,
        *,
        measure: Measure,
        weight: Tensor,
        steps: int,
        symmetric: bool,
    ) -> None:
        shape = tuple(moving.shape[2:])
        self._flow = Flow(metric, travellers(shape), velocity_grid(shape), shape)
        self._travel = make_travel(metric, self._flow)
        self._analysis = transposed(metric.basis(shape))
        self._root = metric.kernel.sqrt() / math.prod(shape)
        self._identity = identity_grid(shape, moving)
        self._sides = metric.lengths
        self._spacing = [side / n for side, n in zip(metric.lengths, shape, strict=True)]
        self._moving, self._fixed = moving, fixed
        self._gradient = _slopes(moving, self._spacing)
        self._at_fixed = measure(fixed)
        self._at_moving = measure(moving) if symmetric else None
        self._weight = weight / 2 if symmetric else weight
        self._steps = steps

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return energies (B,), infinite where a geodesic diverged, and directions of ascent.

        Both for codes (B, D, *counts), and the directions in their form.
        """
        steps = torch.full((len(codes),), self._steps, device=codes.device)
        journey = self._travel.shoot(codes, steps)
        backward = self._flow.spread(journey.carry("backward"))
        warped = sample(self._moving, self._identity + backward.movedim(1, -1), padding="border")
        dissimilarity, slope = self._at_fixed(warped)
        travelled = journey.carry("forward")
        # The volume is as smooth as the map, so it is taken where that is known, and spread alike.
        forward = self._flow.spread(torch.cat([travelled, self._volume(travelled)], dim=1))
        displacement, volume = forward[:, :-1], forward[:, -1:]
        carried = self._identity + displacement.movedim(1, -1)
        channels = self._moving.shape[1]
        both = torch.cat([slope, self._fixed], dim=1)
        both = sample(both, carried, padding="border")
        slope, pulled = both[:, :channels], both[:, channels:]
        force = -volume * (slope[:, :, None] * self._gradient).sum(1)
        if self._at_moving is not None:
            other, slope = self._at_moving(pulled)
            dissimilarity = dissimilarity + other
            force = force + (slope[:, :, None] * _slopes(pulled, self._spacing)).sum(1)
        weight = self._weight.view(-1, *[1] * (codes.ndim - 1))
        direction = codes + weight * self._root * apply(self._analysis, force)
        energy = 0.5 * codes.flatten(1).square().sum(1) + self._weight * dissimilarity
        return torch.where(journey.sound, energy, torch.inf), direction

    def _volume(self, displacement: Tensor) -> Tensor:
        """Return (B, 1, *points) det ∇φ of the travelling points' displacements."""
        # Array axis order, in the unit of the box.
        halves = displacement.new_tensor([side / 2 for side in self._sides])
        dims, points = len(self._sides), displacement.shape[2:]
        field = displacement.flip(1) * halves.view(-1, *[1] * dims)
        slopes = _slopes(field, [side / n for side, n in zip(self._sides, points, strict=True)])
        if dims == 2:
            along, across = slopes[:, 0], slopes[:, 1]
            volume = (1 + along[:, 0]) * (1 + across[:, 1]) - along[:, 1] * across[:, 0]
        else:
            identity = torch.eye(dims, dtype=field.dtype, device=field.device)
            volume = torch.linalg.det(slopes.movedim((1, 2), (-2, -1)) + identity)
        return volume[:, None]


def travellers(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the grid of travelling points for images of that shape."""
    most = max(32, min(48, 3 * max(shape) // 8)) if len(shape) == 2 else 24
    return _at_most(shape, most)


def velocity_grid(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the grid on which velocities are laid out for images of that proportion."""
    side = 64 if len(shape) == 2 else 32
    return tuple(max(2, round(side * n / max(shape))) for n in shape)


def _at_most(shape: Sequence[int], most: int) -> tuple[int, ...]:
    largest = max(shape)
    if largest <= most:
        return tuple(shape)
    return tuple(max(2, math.ceil(n * most / largest)) for n in shape)


def _slopes(field: Tensor, spacing: Sequence[float]) -> Tensor:
    """Return (B, C, D, *S) central differences, one-sided at the border."""
    axes = tuple(range(2, field.ndim))
    return torch.stack(torch.gradient(field, spacing=tuple(spacing), dim=axes), dim=2)

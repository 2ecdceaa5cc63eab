"""Maps of codes in the plane, compiled for the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medscale_registrar_lddmm import plane_flow, plane_geodesic
from medscale_registrar_lddmm.flow import Direction, Flow
from medscale_registrar_lddmm.metric import Metric
from medscale_registrar_lddmm.plane_flow import SIDE, Array, Lattice
from medscale_registrar_lddmm.plane_geodesic import LANES, POINTS, WAVES, Axis, Plane, place

Steps = NDArray[np.int64]


def fits(metric: Metric, flow: Flow) -> bool:
    """Return whether there are few enough waves and points in the plane for what is compiled."""
    return (
        max(metric.counts) <= 2 * WAVES
        and max(metric.points) <= 2 * POINTS
        and max(*flow.points, *flow.samples) <= SIDE
    )


class PlaneTravel:
    """`travel.Travel` for what `fits`.

    Args:
        metric: The space of velocities.
        points: Grid of the points that travel.
        samples: Grid on which velocities are laid out to be read between its points.
    """

    def __init__(self, metric: Metric, points: Sequence[int], samples: Sequence[int]) -> None:
        kernel = _sorted(_sorted(metric.kernel, 1), 2).repeat_interleave(LANES, dim=2)
        first, second = (_axis(metric, axis) for axis in range(2))
        self._plane = Plane(kernel.numpy(), metric.kernel.sqrt().numpy(), first, second)
        scale = metric.kernel.new_tensor(
            [n / side for n, side in zip(samples, metric.lengths, strict=True)]
        )
        self._speed = (metric.kernel * scale.view(-1, 1, 1)).numpy()
        self._samples, self._points = _lattice(metric, samples), _lattice(metric, points)

    def shoot(self, codes: Tensor, steps: Tensor) -> _PlaneJourney:
        """Return the geodesics of codes."""
        kept = steps.numpy().copy()
        shape = (len(codes), int(kept.max(initial=0)) + 1, *codes.shape[1:])
        momenta, rates = np.empty(shape, np.float32), np.empty(shape, np.float32)
        plane_geodesic.shoot(codes.contiguous().numpy(), kept, self._plane, momenta, rates)
        return _PlaneJourney(self, momenta, rates, kept)

    def carry(self, momenta: Array, rates: Array, steps: Steps, direction: Direction) -> Tensor:
        """Return the displacements of the travelling points, as `Flow.carry`.

        Args:
            momenta: (B, M + 1, 2, *counts), the last `steps` + 1 of each.
            rates: Likewise, of their change.
            steps: (B,); codes of 0 steps stay where they are.
            direction: Of the points.
        """
        points = self._points
        moved = np.empty((len(momenta), 2, points.height * points.width), np.float32)
        plane_flow.carry(
            momenta,
            rates,
            steps,
            direction == "backward",
            self._speed,
            self._samples,
            points,
            moved,
        )
        return torch.from_numpy(moved).view(len(moved), 2, points.height, points.width)


class _PlaneJourney:
    def __init__(self, travel: PlaneTravel, momenta: Array, rates: Array, steps: Steps) -> None:
        self.sound = torch.from_numpy(steps > 0)
        self._travel = travel
        self._momenta, self._rates, self._steps = momenta, rates, steps

    def carry(self, direction: Direction) -> Tensor:
        return self._travel.carry(self._momenta, self._rates, self._steps, direction)


def _axis(metric: Metric, axis: int) -> Axis:
    count = metric.points[axis]
    weight = metric.kernel.new_full([POINTS, 1], 1 / count)
    if count % 2:
        # The middle point is in both halves.
        weight[count // 2] /= 2
    if axis == 0:
        weight = -weight  # The rate is minus the integral.
    values, slopes = (
        F.pad(_halves(waves[axis]), (0, 0, 0, POINTS - (count + 1) // 2))
        for waves in (metric.basis(metric.points), metric.basis(metric.points, axis))
    )
    back, back_slopes = ((weight * waves).mT.contiguous() for waves in (values, -slopes))
    return Axis(values.numpy(), slopes.numpy(), back.numpy(), back_slopes.numpy())


def _halves(waves: Tensor) -> Tensor:
    """Return (D, even and odd, half the points, WAVES) of waves (D, points, waves)."""
    half = waves[:, : (waves.shape[1] + 1) // 2]
    return torch.stack(torch.split(_sorted(half, 2), WAVES, dim=2), dim=1)


def _sorted(waves: Tensor, axis: int) -> Tensor:
    """Put even waves first along an axis, and pad both kinds with zeros."""
    shape = list(waves.shape)
    shape[axis] = 2 * WAVES
    places = torch.tensor([place(wave) for wave in range(waves.shape[axis])])
    return waves.new_zeros(shape).index_copy(axis, places, waves)


def _lattice(metric: Metric, shape: Sequence[int]) -> Lattice:
    down, across = metric.basis(shape)
    padded = across.new_zeros(len(across), 2 * WAVES, SIDE)
    padded[:, : across.shape[2], : across.shape[1]] = across.mT
    return Lattice(_halves(down).numpy(), padded.numpy(), *shape)

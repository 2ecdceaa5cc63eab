"""Maps of codes in the plane, compiled for the processor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from medscale_registrar_lddmm import plane_flow, plane_geodesic
from medscale_registrar_lddmm.flow import Direction, Flow
from medscale_registrar_lddmm.geodesic import kept_length, lengths
from medscale_registrar_lddmm.metric import Metric
from medscale_registrar_lddmm.plane_flow import SIDE, Lattice
from medscale_registrar_lddmm.plane_geodesic import LANES, POINTS, WAVES, Axis, Plane, place


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
        self._root = metric.kernel.sqrt()
        kernel = _sorted(_sorted(metric.kernel, 1), 2).repeat_interleave(LANES, dim=2)
        first, second = (_axis(metric, axis) for axis in range(2))
        self._plane = Plane(kernel.numpy(), first, second)
        scale = metric.kernel.new_tensor(
            [n / side for n, side in zip(samples, metric.lengths, strict=True)]
        )
        self._speed = (metric.kernel * scale.view(-1, 1, 1)).numpy()
        self._samples, self._points = _lattice(metric, samples), _lattice(metric, points)
        # To the units of grid_sample, and its order of axes: the last one first.
        self._unit = metric.kernel.new_tensor([2.0 / n for n in reversed(samples)]).view(-1, 1, 1)

    def shoot(self, codes: Tensor, steps: Tensor) -> _PlaneJourney:
        """Return the geodesics of codes."""
        count, most = len(codes), max(steps.tolist(), default=0)
        momenta = codes.new_empty(count, most + 1, *codes.shape[1:])
        momenta[torch.arange(count), most - steps] = codes / self._root
        rates = torch.empty_like(momenta)
        plane_geodesic.shoot(steps.numpy(), self._plane, momenta.numpy(), rates.numpy())
        sound = kept_length(lengths(codes), lengths(self._root * momenta[:, -1]))
        return _PlaneJourney(sound, self, momenta, rates, steps)

    def carry(self, momenta: Tensor, rates: Tensor, steps: Tensor, direction: Direction) -> Tensor:
        """Return the displacements of the travelling points; codes of 0 steps stay where they are.

        Args:
            momenta: (B, M + 1, 2, *counts), the last `steps` + 1 of each.
            rates: Likewise, of their change.
            steps: (B,).
            direction: Of the points.
        """
        moved = momenta.new_empty(len(momenta), 2, self._points.height, self._points.width)
        plane_flow.carry(
            momenta.numpy(),
            rates.numpy(),
            steps.numpy(),
            direction == "backward",
            self._speed,
            self._samples,
            self._points,
            moved.flatten(2).numpy(),
        )
        return moved.flip(1) * self._unit


class _PlaneJourney:
    def __init__(
        self, sound: Tensor, travel: PlaneTravel, momenta: Tensor, rates: Tensor, steps: Tensor
    ) -> None:
        self.sound = sound
        self._travel = travel
        self._momenta, self._rates = momenta, rates
        self._steps = torch.where(sound, steps, 0)

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

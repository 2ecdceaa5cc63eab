"""From codes to the points that their geodesics carry: with tensors, or compiled for the plane."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from medscale_registrar_lddmm.flow import Direction, Flow
from medscale_registrar_lddmm.geodesic import Knot, Shooter, where
from medscale_registrar_lddmm.metric import Metric


class Journey(Protocol):
    """Geodesics, and points that travel along them."""

    @property
    def sound(self) -> Tensor:
        """(B,) whether each geodesic kept its length; the others carry nothing anywhere."""

    def carry(self, direction: Direction) -> Tensor:
        """Return the displacements (B, D, *points) of the points, as `Flow.carry`."""


class Travel(Protocol):
    """Shoots codes."""

    def shoot(self, codes: Tensor, steps: Tensor) -> Journey:
        """Return the geodesics of codes.

        Args:
            codes: (B, D, *counts).
            steps: (B,) Runge-Kutta steps of each.
        """


def make_travel(metric: Metric, flow: Flow) -> Travel:
    """Return what shoots codes of a metric and carries the points of a flow.

    Compiled where it can be: in the plane, matrices are so small that calls cost more than work.
    """
    kernel = metric.kernel
    if metric.dims == 2 and kernel.device.type == "cpu" and kernel.dtype == torch.float32:
        # The compiler takes a while to import.
        from medscale_registrar_lddmm.plane import PlaneTravel, fits

        if fits(metric, flow):
            return PlaneTravel(metric, flow.points, flow.samples)
    return TensorTravel(metric, flow)


class TensorTravel:
    """In planes and volumes, on any device, of any type.

    Args:
        metric: The space of velocities.
        flow: Carries the points.
    """

    def __init__(self, metric: Metric, flow: Flow) -> None:
        self._shooter = Shooter(metric)
        self._flow = flow

    def shoot(self, codes: Tensor, steps: Tensor) -> _TensorJourney:
        """Return the geodesics of codes."""
        sound = torch.empty_like(steps, dtype=torch.bool)
        paths: list[tuple[Tensor, list[Knot]]] = []
        # Codes of equal steps together, so that no code's map depends on its batch.
        for count in sorted(set(steps.tolist())):
            rows = (steps == count).nonzero()[:, 0]
            path = self._shooter.shoot(codes[rows], count)
            kept = self._shooter.keeps_length(path)
            if not kept.all():
                path = where(kept, path)
            sound[rows] = kept
            paths.append((rows, path))
        return _TensorJourney(sound, self._flow, paths, codes)


class _TensorJourney:
    def __init__(
        self,
        sound: Tensor,
        flow: Flow,
        paths: list[tuple[Tensor, list[Knot]]],
        like: Tensor,
    ) -> None:
        self.sound = sound
        self._like = like
        self._flow = flow
        self._paths = paths

    def carry(self, direction: Direction) -> Tensor:
        moved = self._like.new_empty(len(self.sound), len(self._flow.points), *self._flow.points)
        for rows, path in self._paths:
            moved[rows] = self._flow.carry(path, direction)
        return moved

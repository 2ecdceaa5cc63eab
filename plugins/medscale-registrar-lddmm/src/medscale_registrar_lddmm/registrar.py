"""Large-deformation registration by geodesic shooting (LDDMM), batched over pairs.

From coarse to fine, each pair's initial momentum is optimised by itself (`lbfgs`), at first in few
frequencies. A code is the momentum in whitened coordinates (`metric`), so codes of one moving image
may be averaged, and the code knows no resolution.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from medscale.errors import ConfigError
from medscale.fields.jacobian import jacobian_determinant
from medscale_registrar_lddmm.config import LDDMMOptions
from medscale_registrar_lddmm.flow import DIRECTIONS, Direction, Flow
from medscale_registrar_lddmm.geodesic import Shooter, steps_for
from medscale_registrar_lddmm.lbfgs import minimise
from medscale_registrar_lddmm.metric import Metric, half_waves, make_metric
from medscale_registrar_lddmm.objective import Objective, travellers, velocity_grid
from medscale_registrar_lddmm.similarity import MEASURES, WEIGHTS
from medscale_registrar_lddmm.travel import Travel, make_travel

if TYPE_CHECKING:
    from torch import Tensor

    from medscale.protocols import PluginContext

_SEARCH_STEPS = 3
"""Runge-Kutta steps of a geodesic during the search; the result is shot with `steps`."""

_FIRST_STEP = 3e-3
"""Length of the first step of a search: a third of a percent of the longest side, about."""

_LEAST_SIDE = 16
"""No level is coarser than that."""

_COARSE = 0.7
"""Share of the frequencies that the coarsest level searches."""

_LEAST_JACOBIAN = 0.02
"""A map that shrinks anything further is as good as folded at another resolution."""

_RESTARTS = 3


class LDDMM:
    """Registers by geodesics of a group of diffeomorphisms."""

    def __init__(self, config: LDDMMOptions, context: PluginContext) -> None:
        if len(config.widths) != len(config.width_weights):
            raise ConfigError(
                f"option lddmm.width_weights got {len(config.width_weights)} weights for "
                f"{len(config.widths)} lddmm.widths; give one for each"
            )
        self._config = config
        self._weight = config.weight or WEIGHTS[config.similarity]

    @torch.no_grad()
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return codes (B, D, *half waves); a pair without a registration gets NaN.

        A pair whose map folds, or nearly, is searched again with half the weight, up to three
        times. Nothing is drawn: the same images give the same codes.

        With `symmetric`, the energy is the same from either end. So each pair is searched from the
        image that comes first in a fixed order, and the other direction gets that same geodesic,
        walked back: registering A to B and B to A undo each other.
        """
        turned = torch.zeros(len(moving), dtype=torch.bool, device=moving.device)
        if self._config.symmetric:
            turned = _comes_later(moving, fixed)
        swap = turned.view(-1, *[1] * (moving.ndim - 1))
        first, last = torch.where(swap, fixed, moving), torch.where(swap, moving, fixed)
        shape = tuple(moving.shape[2:])
        weight = self._weight
        codes = self._search(first, last, weight)
        for _ in range(_RESTARTS):
            bad = ~self._is_sound(codes, shape)
            if not bad.any():
                break
            weight /= 2
            codes[bad] = self._search(first[bad], last[bad], weight)
        if turned.any():
            codes[turned] = self._reversed(codes[turned], shape)
        codes[~self._is_sound(codes, shape)] = math.nan
        return codes

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return displacements (B, D, *shape) in voxels: the pull-back on the fixed grid."""
        return self._shot(codes, shape, "backward")

    def inverse_displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return displacements (B, D, *shape) in voxels of the inverse, on the moving grid."""
        return self._shot(codes, shape, "forward")

    def _reversed(self, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the codes of the same geodesics from their other ends."""
        metric = _metric(shape, self._config, self._config.frequencies, codes)
        shooter = Shooter(metric)
        result = codes.clone()
        steps = steps_for(codes, metric, self._config.steps)
        for count in sorted(set(steps.tolist())):
            chosen = steps == count
            result[chosen] = (
                -metric.kernel.sqrt() * shooter.shoot(codes[chosen], count)[-1].momentum
            )
        return result

    @torch.no_grad()
    def _shot(self, codes: Tensor, shape: tuple[int, ...], direction: Direction) -> Tensor:
        expected = (len(shape), *half_waves(shape, self._config.frequencies))
        if tuple(codes.shape[1:]) != expected:
            raise ValueError(
                f"codes have shape {tuple(codes.shape[1:])}, but images of shape {shape} have "
                f"codes of shape {expected} with these options"
            )
        metric, travel, flow = _maps(shape, self._config, codes.device, codes.dtype)
        steps = steps_for(codes, metric, self._config.steps)
        journey = travel.shoot(codes, steps)
        field = flow.in_voxels(flow.spread(journey.carry(direction)))
        if not journey.sound.all():
            field[~journey.sound] = math.nan
        return field

    def _search(self, moving: Tensor, fixed: Tensor, weight: float) -> Tensor:
        """Return codes (B, D, *half waves) of a search from coarse to fine."""
        shape = tuple(moving.shape[2:])
        levels = len(self._config.iterations)
        codes: Tensor | None = None
        for level, evaluations in enumerate(self._config.iterations):
            size = _level_shape(shape, self._config.resolution, levels - 1 - level)
            share = 1.0 if level or levels == 1 else _COARSE
            waves = max(2, math.ceil(self._config.frequencies * share))
            metric = _metric(shape, self._config, waves, moving)
            start = _in_more_frequencies(codes, metric, moving)
            codes = self._level(
                start, metric, _shrunk(moving, size), _shrunk(fixed, size), evaluations, weight
            )
        assert codes is not None
        return codes

    def _level(
        self,
        start: Tensor,
        metric: Metric,
        moving: Tensor,
        fixed: Tensor,
        evaluations: int,
        weight: float,
    ) -> Tensor:
        """Optimise at one resolution."""
        form = start.shape[1:]
        kept: tuple[Tensor, Objective] | None = None

        def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            nonlocal kept
            if kept is None or len(kept[0]) != len(rows):
                objective = Objective(
                    metric,
                    moving[rows],
                    fixed[rows],
                    measure=MEASURES[self._config.similarity],
                    weight=points.new_full((len(rows),), weight),
                    steps=_SEARCH_STEPS,
                    symmetric=self._config.symmetric,
                )
                kept = (rows, objective)
            energy, gradient = kept[1](points.view(-1, *form))
            return energy, gradient.flatten(1)

        found = minimise(start.flatten(1), evaluate, evaluations=evaluations, first=_FIRST_STEP)
        return found.view(-1, *form)

    def _is_sound(self, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (B,) whether a map and its inverse are finite and far from folding."""
        least = torch.stack(
            [
                jacobian_determinant(self._shot(codes, shape, direction)).flatten(1).amin(1)
                for direction in DIRECTIONS
            ]
        )
        return torch.nan_to_num(least.amin(0), nan=-1.0) > _LEAST_JACOBIAN


@lru_cache(maxsize=32)
def _maps(
    shape: tuple[int, ...], config: LDDMMOptions, device: torch.device, dtype: torch.dtype
) -> tuple[Metric, Travel, Flow]:
    """Return what maps at a shape take; augmentation asks for it at every batch."""
    metric = _metric(shape, config, config.frequencies, torch.empty(0, device=device, dtype=dtype))
    flow = Flow(metric, travellers(shape), velocity_grid(shape), shape)
    return metric, make_travel(metric, flow), flow


def _metric(shape: tuple[int, ...], config: LDDMMOptions, frequencies: int, like: Tensor) -> Metric:
    return make_metric(shape, frequencies, config.widths, config.width_weights, like)


def _comes_later(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return (B,) whether the moving image is the later one, in an order that is the same for all.

    The order itself means nothing: which image is heavier towards the end of its pixels.
    """
    difference = (moving - fixed).flatten(1).double()
    ramp = torch.linspace(0.5, 1.0, difference.shape[1], dtype=torch.float64, device=moving.device)
    return (difference * ramp).sum(1) < 0


def _level_shape(shape: tuple[int, ...], resolution: int, halvings: int) -> tuple[int, ...]:
    """Return the shape of a level; the finest is the image, or `resolution` where it is larger."""
    share = min(1.0, resolution / max(shape)) / 2**halvings
    return tuple(min(n, max(_LEAST_SIDE, round(n * share))) for n in shape)


def _shrunk(image: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Average an image down to a shape."""
    if tuple(image.shape[2:]) == shape:
        return image
    return F.interpolate(image, shape, mode="area")


def _in_more_frequencies(codes: Tensor | None, metric: Metric, like: Tensor) -> Tensor:
    """Return codes of a metric that start as those of fewer frequencies, or at zero."""
    start = like.new_zeros(len(like), metric.dims, *metric.counts)
    if codes is not None:
        inner = start
        for axis, count in enumerate(codes.shape[2:], start=2):
            inner = inner.narrow(axis, 0, count)
        inner.copy_(codes)
    return start

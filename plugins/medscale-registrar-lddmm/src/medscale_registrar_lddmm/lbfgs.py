"""L-BFGS for many small problems at once, each with its own history, step and stop.

Every evaluation is one trial for each problem: where it fails, that problem shortens its step and
the others go on. Problems that are done leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Evaluate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes points (b, N) and which problems they belong to (b,); returns energies (b,) and
gradients (b, N)."""

_MEMORY = 6
_ARMIJO = 1e-4
_TOLERANCE = 2e-4
"""Relative gain below which an evaluation was of no use."""

_PATIENCE = 3
_SHRINK_AT = 0.75
"""Share of the batch that is still at work when the finished are taken out of it."""


def minimise(start: Tensor, evaluate: Evaluate, *, evaluations: int, first: float) -> Tensor:
    """Return (B, N) the best points found, NaN where every energy was infinite or NaN.

    Args:
        start: (B, N).
        evaluate: Energies and gradients; the gradient may be that of a nearby problem.
        evaluations: Most of them, for each problem.
        first: Length of the first step.
    """
    result = start.clone()
    rows = torch.arange(len(start), device=start.device)
    x = start
    energy, gradient = evaluate(x, rows)
    lost = ~energy.isfinite()
    energy = torch.where(lost, torch.inf, energy)
    # A start that cannot be evaluated goes half the way back to zero.
    direction = torch.where(lost[:, None], -0.5 * x, _steepest(gradient, first))
    step = torch.ones_like(energy)
    idle = torch.zeros_like(energy)
    finished = torch.zeros_like(energy, dtype=torch.bool)
    memory: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(evaluations - 1):
        slope = (gradient * direction).sum(1)
        trial = x + step[:, None] * direction
        reached, turned = evaluate(trial, rows)
        better = reached.isfinite() & (reached <= energy + _ARMIJO * step * slope)
        _remember(memory, trial - x, turned - gradient, better)
        useless = ~better | (energy - reached <= _TOLERANCE * reached.abs())
        idle = torch.where(useless, idle + 1, 0.0)
        step = torch.where(better, 1.0, _shortened(step, slope, reached - energy))
        x = torch.where(better[:, None], trial, x)
        energy = torch.where(better, reached, energy)
        gradient = torch.where(better[:, None], turned, gradient)
        downhill = _direction(memory, gradient, first)
        direction = torch.where(better[:, None], downhill, direction)
        # A finished problem may stay in the batch for a while; its result no longer changes.
        ending = (idle >= _PATIENCE) & ~finished
        result[rows[ending]] = _evaluable(x, energy)[ending]
        finished = finished | ending
        going = ~finished
        if not going.any():
            return result
        if going.float().mean() < _SHRINK_AT:
            rows, x, energy, gradient, direction, step, idle, finished = (
                part[going] for part in (rows, x, energy, gradient, direction, step, idle, finished)
            )
            memory = [(s[going], y[going], rho[going]) for s, y, rho in memory]
    result[rows[~finished]] = _evaluable(x, energy)[~finished]
    return result


def _evaluable(x: Tensor, energy: Tensor) -> Tensor:
    return torch.where(energy.isfinite()[:, None], x, torch.nan)


def _remember(
    memory: list[tuple[Tensor, Tensor, Tensor]], moved: Tensor, turned: Tensor, better: Tensor
) -> None:
    moved = torch.where(better[:, None], moved, 0.0)
    turned = torch.where(better[:, None], turned, 0.0)
    curvature = (moved * turned).sum(1)
    rho = torch.where(curvature > 1e-14, 1 / curvature.clamp_min(1e-14), 0.0)
    memory.append((moved, turned, rho))
    del memory[:-_MEMORY]


def _direction(
    memory: list[tuple[Tensor, Tensor, Tensor]], gradient: Tensor, first: float
) -> Tensor:
    """Return the two-loop recursion's direction (Nocedal and Wright 2006, algorithm 7.4)."""
    q = gradient
    alphas: list[Tensor] = []
    scale = torch.ones_like(gradient[:, 0])
    known = torch.zeros_like(scale, dtype=torch.bool)
    for moved, turned, rho in reversed(memory):
        alpha = rho * (moved * q).sum(1)
        alphas.append(alpha)
        q = q - alpha[:, None] * turned
        newest = (rho > 0) & ~known
        size = (rho * turned.square().sum(1)).clamp_min(1e-20)
        scale = torch.where(newest, 1 / size, scale)
        known = known | newest
    q = q * scale[:, None]
    for (moved, turned, rho), alpha in zip(memory, reversed(alphas), strict=True):
        q = q + (alpha - rho * (turned * q).sum(1))[:, None] * moved
    usable = known & q.isfinite().all(1) & ((q * gradient).sum(1) > 0)
    return torch.where(usable[:, None], -q, _steepest(gradient, first))


def _steepest(gradient: Tensor, length: float) -> Tensor:
    size: Tensor = gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return gradient * (-length / size)


def _shortened(step: Tensor, slope: Tensor, rise: Tensor) -> Tensor:
    """Return the step to the least point of a parabola, kept within a tenth and a half."""
    least = -slope * step.square() / (2 * (rise - slope * step)).clamp_min(1e-20)
    least = torch.nan_to_num(least, nan=0.0, posinf=0.0)
    return torch.minimum(torch.maximum(least, 0.1 * step), 0.5 * step)

"""Log-domain diffeomorphic demons."""

from __future__ import annotations

import torch
from torch import Tensor

from medscale.fields.warp import warp
from medscale.protocols import PluginContext
from medscale_registrar_demons.config import DemonsOptions
from medscale_registrar_demons.forces import DemonsForces
from medscale_registrar_demons.resampling import coarsen, refine, smooth
from medscale_registrar_demons.velocity import flow, per_axis, without_folds

_LEAST_SIDE = 8
"""No axis is halved below this many voxels: there would be nothing left to see."""


class LogDemons:
    """v ← K ∗ (v + u), where u are the demons forces between moving ∘ exp(v) and fixed.

    The first-order log-domain scheme of Vercauteren et al. 2008, from coarse to fine. What is found
    is the exponential of a velocity throughout, so nothing is lost by storing the velocity; and
    velocities form a vector space, so codes may be averaged.
    """

    def __init__(self, config: DemonsOptions, context: PluginContext) -> None:
        self._config = config
        self._forces = DemonsForces()

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return velocities (B, D, *G) in shares of the field of view, on the images' device.

        G has half as many points as the image along each axis, and at most `grid`. The work is
        done on the CPU. A row of NaN says that no registration was found: an image was not finite,
        or the map folded even after shrinking.
        """
        with torch.no_grad():
            images = torch.stack([moving, fixed]).cpu().float()
            usable = images.isfinite().transpose(0, 1).flatten(1).all(1)
            usable = usable.view(-1, *[1] * (moving.ndim - 1))
            velocity = self._velocity(*torch.where(usable, images, 0))
            velocity = without_folds(velocity, tuple(moving.shape[2:]))
            return torch.where(usable, velocity, torch.nan).to(moving.device)

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return exp(v) as displacements (B, D, *shape) in voxels, pull-back; NaN for NaN."""
        return flow(codes, shape)

    def inverse_displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return exp(−v), which carries fixed to moving, as displacements (B, D, *shape)."""
        return flow(-codes, shape)

    def _velocity(self, moving: Tensor, fixed: Tensor) -> Tensor:
        config, shape = self._config, tuple(moving.shape[2:])
        velocity = moving.new_zeros(len(moving), len(shape), *[1] * len(shape))
        for level in reversed(range(config.levels)):
            size = tuple(max(-(-n // 2**level), min(n, _LEAST_SIDE)) for n in shape)
            grid = tuple(
                min(n, -(-whole // 2), config.grid) for n, whole in zip(size, shape, strict=True)
            )
            sigmas = [config.sigma_field * g / n for g, n in zip(grid, size, strict=True)]
            small, target = coarsen(moving, size), coarsen(fixed, size)
            velocity = refine(velocity, grid)
            for _ in range(config.iterations):
                # Zero outside, as the study's images are when they are deformed.
                update = self._forces(moving=warp(small, flow(velocity, size)), fixed=target)
                update = smooth(update, [config.sigma_update] * len(size))
                update = coarsen(update, grid) / per_axis(update, size)
                velocity = smooth(velocity + update, sigmas)
        return velocity

"""Registration by a stationary velocity on a coarse grid.

Velocities form a vector space, so codes may be averaged; displacements do not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.fields.warp import compose, warp
from medscale.protocols import PluginContext
from plugin_module.config import PluginOptions

_SQUARINGS = 4
"""The velocity is followed in 2⁴ small steps."""


class PluginClass:
    """Minimises squared differences plus a smoothness term, all pairs of a batch at once."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return velocities (B, D, points, …), as shares of the image's axes."""
        shape = tuple(moving.shape[2:])
        points = [self._config.points] * len(shape)
        with torch.enable_grad():
            codes = moving.new_zeros(len(moving), len(shape), *points, requires_grad=True)
            # A large eps: equal images have gradients of rounding size, which must not move them.
            optimiser = torch.optim.Adam([codes], lr=0.01, eps=1e-3)
            for _ in range(self._config.iterations):
                warped = warp(moving, self.displacement(codes=codes, shape=shape), padding="border")
                # A sum over pairs, so that none depends on the others.
                loss = (warped - fixed).square().sum() + self._config.smoothness * _slopes(codes)
                (codes.grad,) = torch.autograd.grad(loss, codes)
                optimiser.step()
        return codes.detach()

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (B, D, *shape) in voxels of that shape, by scaling and squaring."""
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        velocity = F.interpolate(codes, size=shape, mode=mode, align_corners=False)
        scale = codes.new_tensor(shape).view(1, -1, *[1] * len(shape))
        displacement: Tensor = velocity * scale / 2**_SQUARINGS
        for _ in range(_SQUARINGS):
            displacement = compose(displacement, displacement)
        return displacement


def _slopes(codes: Tensor) -> Tensor:
    """Return the summed squared differences of neighbouring control points, in image lengths."""
    total = codes.new_zeros(())
    for axis in range(2, codes.ndim):
        total = total + (codes.shape[axis] * codes.diff(dim=axis)).square().sum()
    return total

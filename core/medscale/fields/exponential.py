"""The exponential of a stationary velocity: the flow that follows it for one unit of time.

Velocities form a vector space, and exp(−v) is the inverse of exp(v); displacements have neither
property.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medscale.fields.warp import compose, warp

SQUARINGS = 6
"""The flow is followed in 2⁶ steps.

What a step has to resolve is the slope of the velocity, which is the same at every resolution, and
not its length: one number serves all shapes. For slopes up to 2 the error of interpolating is the
larger one from four squarings on.
"""


def exponential(velocity: Tensor, *, squarings: int = SQUARINGS) -> Tensor:
    """Return the displacement of exp(v), by scaling and squaring.

    The first of 2^squarings equal steps is a midpoint step, u(x) = h v(x + h v(x) / 2); it is then
    composed with itself, `squarings` times. Beyond the border the velocity goes on as it is there.

    Args:
        velocity: (B, D, *S) in voxels per unit of time, pull-back, axis order of the array.
        squarings: How often the step is composed with itself.

    Returns:
        (B, D, *S) in voxels; NaN for every row that is not finite throughout.

    Source:
        Arsigny, Commowick, Pennec, Ayache, "A Log-Euclidean framework for statistics on
        diffeomorphisms", MICCAI 2006, algorithm 2.
    """
    finite = velocity.isfinite().flatten(1).all(1).view(-1, *[1] * (velocity.ndim - 1))
    # Interpolation clips where it reads, so a NaN could come out as a regular displacement.
    step = torch.where(finite, velocity, 0) / 2**squarings
    displacement = warp(step, step / 2, padding="border")
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return torch.where(finite, displacement, torch.nan)

"""Coarse grids over an image, on which deformations are computed."""

from __future__ import annotations

import math


def coarse_grid(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Return the smallest grid of an image's exact proportions that is `side` or more long.

    In a box of nearly those proportions a registrar's code would be another deformation, or none:
    `lddmm` has as many frequencies along an axis as the axis is long. It is the image's own grid
    where only that has them.
    """
    parts = math.gcd(*shape)
    times = min(parts, -(-side * parts // max(shape)))
    return tuple(n // parts * times for n in shape)

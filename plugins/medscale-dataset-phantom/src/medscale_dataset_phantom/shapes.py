"""Implicit shapes: functions of the plane that are negative inside and about a distance.

Lengths are in units of half the field of view: the picture spans [-1, 1] along x (to the right)
and y (down).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """Where every pixel lies in the frame of some anatomy.

    Attributes:
        x: (size, size) coordinates to the right.
        y: (size, size) coordinates down.
        pixel: Side of a pixel of the picture.
    """

    x: Array
    y: Array
    pixel: float

    @classmethod
    def square(cls, size: int) -> Plane:
        """Return the pixel centres of an undeformed picture."""
        centres = (2 * np.arange(size) + 1) / size - 1
        y, x = np.meshgrid(centres, centres, indexing="ij")
        return cls(x, y, 2 / size)

    def local(self, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> Plane:
        """Return the frame of a part that lies at (x, y), turned (radians) and magnified."""
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        dx, dy = self.x - x, self.y - y
        return Plane(cos * dx + sin * dy, cos * dy - sin * dx, self.pixel)


def ellipse(plane: Plane, x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Array:
    """Return a first-order signed distance to an ellipse with half-axes rx and ry."""
    if angle:
        plane, x, y = plane.local(x, y, angle), 0.0, 0.0
    u, v = (plane.x - x) / rx, (plane.y - y) / ry
    level = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
    # At the very centre the slope vanishes; any value well inside will do there.
    return np.where(slope > 1e-9, level * (level - 1) / np.maximum(slope, 1e-9), -min(rx, ry))


def capsule(
    plane: Plane, start: tuple[float, float], end: tuple[float, float], radius: float
) -> Array:
    """Return the distance to a thick line segment with round ends."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    along = ((plane.x - x0) * dx + (plane.y - y0) * dy) / (dx * dx + dy * dy)
    along = np.clip(along, 0, 1)
    return np.hypot(plane.x - x0 - along * dx, plane.y - y0 - along * dy) - radius


def union(a: Array, b: Array, blend: float = 0.0) -> Array:
    """Join two shapes; `blend` rounds the corner between them over that length."""
    return 0.5 * (a + b - np.sqrt((a - b) ** 2 + blend * blend))


def intersection(a: Array, b: Array, blend: float = 0.0) -> Array:
    """Keep what lies in both shapes; `blend` rounds the corner over that length."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + blend * blend))


def true_distance(shape: Array, pixel: float) -> Array:
    """Rescale a shape that was deformed so that near its edge it measures the picture's lengths."""
    dy, dx = np.gradient(shape, pixel)
    distance: Array = shape / np.maximum(np.hypot(dx, dy), 0.2)
    return distance


def coverage(shape: Array, width: float) -> Array:
    """Return how much of each pixel the shape covers, from 0 to 1.

    Args:
        shape: Implicit function; its zero level is where the coverage is one half, so a label
            thresholded at zero and a picture painted with the coverage agree.
        width: Width of the soft edge; a pixel for a sharp one.
    """
    return np.clip(0.5 - shape / width, 0, 1)


def paint(canvas: Array, cover: Array, value: float | Array) -> None:
    """Lay a value over the canvas where it is covered, in place."""
    canvas += cover * (value - canvas)

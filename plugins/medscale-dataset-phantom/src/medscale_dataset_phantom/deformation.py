"""Smooth random diffeomorphisms: what makes one person's anatomy differ from the next."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medscale_dataset_phantom.draws import Draws, Exposure
from medscale_dataset_phantom.shapes import Array, Plane

_GRID = 48  # the velocities are smooth: this grid resolves them at every image size
_SQUARINGS = 5


def random_velocity(draws: Draws, amplitude: float) -> Array:
    """Return a stationary velocity (2, 48, 48), x first, with coarse and finer undulations.

    Args:
        draws: Stream to use; its spread multiplies the amplitude.
        amplitude: About the root mean square displacement, in half fields of view.
    """
    scales = ((3, 1.0), (6, 0.35))
    parts = [
        [weight * draws.field(_GRID, cells) for cells, weight in scales] for _component in range(2)
    ]
    return draws.spread * amplitude * np.array([np.add(*component) for component in parts])


def exponential(velocity: Array) -> Array:
    """Integrate a stationary velocity by scaling and squaring.

    Args:
        velocity: (2, G, G) in half fields of view, x first.

    Returns:
        (2, G, G) displacement u with φ = id + u, free of folds as long as a single scaled step is.
    """
    size = velocity.shape[1]
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    shift = velocity * (size / 2) / 2**_SQUARINGS
    for _ in range(_SQUARINGS):
        where = (rows + shift[1], columns + shift[0])
        shift = shift + np.stack(
            [ndimage.map_coordinates(part, where, order=1, mode="nearest") for part in shift]
        )
    displacement: Array = shift * 2 / size
    return displacement


def deformed_plane(exposure: Exposure, amplitude: float) -> Plane:
    """Return where each pixel lies in the template, for this person and moment.

    Args:
        exposure: The picture to be made.
        amplitude: Size of the deformation between people, in half fields of view; images of one
            person differ by a fifth of it.
    """
    velocity = random_velocity(exposure.person("deformation"), amplitude)
    if exposure.index:
        velocity = velocity + random_velocity(exposure.moment("deformation"), amplitude / 5)
    plane = Plane.square(exposure.size)
    zoom = exposure.size / _GRID
    x, y = (
        ndimage.zoom(part, zoom, order=3, mode="nearest", grid_mode=True)
        for part in exponential(velocity)
    )
    return Plane(plane.x + x, plane.y + y, plane.pixel)

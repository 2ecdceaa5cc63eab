"""Points that travel in the plane, compiled for the processor: what `flow` does, code by code.

Velocities are laid out by halves, as in `plane_geodesic`: waves of the first axis are sorted, even
ones first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medscale.fields.compiled import compiled

Array = NDArray[np.float32]

WAVES = 7
"""As in `plane_geodesic`; not imported, for what is compiled is renewed with its own file only."""

SIDE = 64
"""Longest side of a lattice."""

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


class Lattice(NamedTuple):
    """Waves at the points of a lattice, by component.

    Attributes:
        down: (2, 2, half the height, rounded up, WAVES) along the first axis, even and odd.
        across: (2, 2 WAVES, SIDE) along the second.
        height: Points along the first axis.
        width: Points along the second.
    """

    down: Array
    across: Array
    height: int
    width: int


@compiled
def carry(
    momenta: Array,
    rates: Array,
    steps: NDArray[np.int64],
    backward: bool,
    kernel: Array,
    lattice: Lattice,
    points: Lattice,
    displacements: Array,
) -> None:
    """Carry points along geodesics, by midpoint steps.

    Args:
        momenta: (B, M + 1, 2, *counts), the last `steps` + 1 of each.
        rates: Likewise, of their change.
        steps: (B,) of each geodesic; with 0, nothing moves.
        backward: From the end to the start.
        kernel: (2, *counts) eigenvalues of the smoother, by velocities in units of the lattice.
        lattice: On which velocities are laid out to be read between its points.
        points: That travel.
        displacements: (B, 2, points) to fill, in the units and order of `grid_sample`.
    """
    most = momenta.shape[1] - 1
    home = np.empty((2, points.height * points.width), np.float32)
    moved = np.empty_like(home)
    high, wide = np.float32(lattice.height), np.float32(lattice.width)
    for i in range(points.height):
        for j in range(points.width):
            home[0, i * points.width + j] = _centre(i, points.height, lattice.height)
            home[1, i * points.width + j] = _centre(j, points.width, lattice.width)
    for code in range(len(steps)):
        start = most - steps[code]
        _carry(
            momenta[code, start:],
            rates[code, start:],
            backward,
            kernel,
            lattice,
            points,
            home,
            moved,
        )
        for p in range(home.shape[1]):
            displacements[code, 0, p] = moved[1, p] * (_TWO / wide)
            displacements[code, 1, p] = moved[0, p] * (_TWO / high)


@compiled
def _centre(cell: int, cells: int, others: int) -> np.float32:
    """Return where a cell's centre is among other cells of the same side."""
    return np.float32((cell + 0.5) * others / cells - 0.5)


@compiled
def _carry(
    momenta: Array,
    rates: Array,
    backward: bool,
    kernel: Array,
    lattice: Lattice,
    points: Lattice,
    home: Array,
    displacement: Array,
) -> None:
    steps = len(momenta) - 1
    step = _ONE / np.float32(steps)
    # Backwards, velocities are the negative ones, and so are the rates at which momenta change.
    sign = -1 if backward else 1
    bend = np.float32(sign) * step / np.float32(8)
    speed = np.float32(sign) * kernel
    momentum = np.empty(kernel.shape, np.float32)
    half = max(lattice.down.shape[2], points.down.shape[2])
    velocity = np.empty((2, 2 * half, SIDE), np.float32)
    slope, moves = np.empty(home.shape, np.float32), np.empty(home.shape, np.float32)
    places = np.empty(home.shape, np.float32)
    displacement[:] = _ZERO
    if steps > 0:
        # Where the points are before they move.
        _lay_out(speed, momenta[steps if backward else 0], points, velocity)
        for c in range(2):
            for i in range(points.height):
                for j in range(points.width):
                    slope[c, i * points.width + j] = velocity[c, i, j]
    for number in range(steps):
        here = steps - number if backward else number
        there = here + sign
        for c in range(2):
            for i in range(kernel.shape[1]):
                for j in range(kernel.shape[2]):
                    # Hermite's cubic at its middle.
                    mean = (momenta[here, c, i, j] + momenta[there, c, i, j]) / _TWO
                    turn = rates[here, c, i, j] - rates[there, c, i, j]
                    momentum[c, i, j] = mean + bend * turn
        _lay_out(speed, momentum, lattice, velocity)
        _add(displacement, slope, step / _TWO, places)
        _add(home, places, _ONE, places)
        _read(velocity, lattice, places, moves)
        _add(displacement, moves, step, displacement)
        for c in range(2):
            for p in range(home.shape[1]):
                # As `flow` has it.
                slope[c, p] = _TWO * moves[c, p] - slope[c, p]


@compiled
def _add(start: Array, moves: Array, share: np.float32, end: Array) -> None:
    for c in range(2):
        for p in range(start.shape[1]):
            end[c, p] = start[c, p] + share * moves[c, p]


@compiled
def _lay_out(speed: Array, momentum: Array, lattice: Lattice, velocity: Array) -> None:
    """Evaluate a velocity at the points of a lattice."""
    coefficients = np.zeros((2 * WAVES, 2 * WAVES), np.float32)
    rows = np.empty((2 * WAVES, SIDE), np.float32)
    for c in range(2):
        for i in range(speed.shape[1]):
            for j in range(speed.shape[2]):
                coefficients[i // 2 + i % 2 * WAVES, j] = speed[c, i, j] * momentum[c, i, j]
        _lay_across(coefficients, lattice.across[c], rows)
        _lay_down(lattice.down[c], rows, lattice.height, velocity[c])


@compiled
def _lay_across(coefficients: Array, waves: Array, rows: Array) -> None:
    for i in range(2 * WAVES):
        for x in range(SIDE):
            total = _ZERO
            for j in range(2 * WAVES):
                total += coefficients[i, j] * waves[j, x]
            rows[i, x] = total


@compiled
def _lay_down(waves: Array, rows: Array, height: int, velocity: Array) -> None:
    for i in range(waves.shape[1]):
        # Weights as numbers of their own, and rows as arrays: nothing is fetched twice.
        even_waves, odd_waves = _numbers(waves[0, i]), _numbers(waves[1, i])
        upper, lower = velocity[i], velocity[height - 1 - i]
        for x in range(SIDE):
            even, odd = _ZERO, _ZERO
            for k in range(WAVES):
                even += even_waves[k] * rows[k, x]
                odd += odd_waves[k] * rows[WAVES + k, x]
            upper[x] = even + odd
            lower[x] = even - odd


@compiled
def _numbers(waves: Array) -> tuple[np.float32, ...]:
    """Return the WAVES numbers of an array."""
    return waves[0], waves[1], waves[2], waves[3], waves[4], waves[5], waves[6]


@compiled
def _read(velocity: Array, lattice: Lattice, places: Array, values: Array) -> None:
    """Read a velocity linearly at places; beyond the border it is that of the border.

    What is no number is read at the border, too: nothing outside the memory.
    """
    bottom, right = np.float32(lattice.height - 1), np.float32(lattice.width - 1)
    count, field = places.shape[1], velocity.shape[1] * SIDE
    inside = np.empty((2, count), np.float32)
    corner = np.empty(count, np.uint32)
    for p in range(count):
        y, x = places[0, p], places[1, p]
        y = y if y > _ZERO else _ZERO
        y = y if y < bottom else bottom
        x = x if x > _ZERO else _ZERO
        x = x if x < right else right
        i = min(np.int32(y), np.int32(lattice.height - 2))
        j = min(np.int32(x), np.int32(lattice.width - 2))
        inside[0, p], inside[1, p] = y - np.float32(i), x - np.float32(j)
        corner[p] = np.uint32(i * SIDE + j)
    # By itself: finding the corners is vectorised, fetching them is not.
    flat = velocity.reshape(-1)
    for c in range(2):
        for p in range(count):
            down, right_share = inside[0, p], inside[1, p]
            above = np.uint64(corner[p]) + np.uint64(c * field)
            below = above + np.uint64(SIDE)
            top = flat[above] + right_share * (flat[above + 1] - flat[above])
            foot = flat[below] + right_share * (flat[below + 1] - flat[below])
            values[c, p] = top + down * (foot - top)

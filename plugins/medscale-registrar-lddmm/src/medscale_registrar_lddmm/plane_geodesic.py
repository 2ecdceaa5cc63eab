"""Geodesics in the plane, compiled for the processor: what `geodesic` does, for many codes.

Its matrices are so small (14 half waves, 18 points) that most of the time would go into calling a
tensor library.

*Lanes.* `LANES` codes are shot side by side, and the last axis of a block's arrays counts them. So
to multiply by a matrix along the first axis is to add up long rows, each times a number; the second
axis takes its turn as the first one.

*Halves.* About the middle of the box, waves at cell centres are even and odd by turns, and their
slopes odd and even. So waves are sorted, even ones first (`place`), and points are one half of the
axis, and then its mirror image. What even and odd waves come to in the first half, added and
subtracted, are both halves.

Sizes are constants, which halves the time: what is smaller is padded with zeros. Every lane takes
the same instructions, whatever the others hold, so no geodesic depends on its company.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medscale.fields.compiled import compiled

Array = NDArray[np.float32]

LANES = 4
"""Codes of a block. Eight take a fifth longer in batches of eight: a block makes as many steps as
the longest of its codes."""

WAVES = 7
"""Most even, and most odd, waves along an axis."""

POINTS = 9
"""Most points in a half of an axis of the grid on which products are formed."""

_ROW, _LINE = 2 * WAVES * LANES, 2 * POINTS * LANES
_ZERO, _ONE = np.float32(0), np.float32(1)

# Of the classical method of Runge and Kutta: how far ahead the next rate is taken, and what each
# rate counts.
_AHEAD = np.array([1 / 2, 1 / 2, 1, 0], np.float32)
_SHARES = np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6], np.float32)


class Axis(NamedTuple):
    """Waves along an axis; each array by component, and then those that are even and odd.

    Attributes:
        values: (2, 2, POINTS, WAVES) at the points.
        slopes: Likewise; those of even waves are odd.
        back: (2, 2, WAVES, POINTS) weights with which a field is integrated against the waves.
        back_slopes: Likewise, against their slopes.
    """

    values: Array
    slopes: Array
    back: Array
    back_slopes: Array


class Plane(NamedTuple):
    """What shooting takes.

    Attributes:
        kernel: (2, 2 WAVES, 2 WAVES * LANES) eigenvalues of the smoother, the same in every lane.
        whitened: (2, *counts) by which a momentum is multiplied to be a code.
        first: The first axis.
        second: The second axis.
    """

    kernel: Array
    whitened: Array
    first: Axis
    second: Axis


class _Workspace(NamedTuple):
    """Memory for rates. Rows hold waves of the second axis, lines points of the first one."""

    velocity: Array
    rows: Array
    lines: Array
    m: Array
    v: Array
    slopes: Array
    folded: Array
    folded_along: Array
    ends: Array
    ends_along: Array


@compiled
def shoot(
    codes: Array, steps: NDArray[np.int64], plane: Plane, momenta: Array, rates: Array
) -> None:
    """Shoot codes by classical Runge-Kutta.

    Args:
        codes: (B, 2, *counts).
        steps: (B,) of each geodesic, M at most. Those of one that does not keep its length, within
            a half, become 0.
        plane: What it takes.
        momenta: (B, M + 1, 2, *counts) to fill, of each time. All end together: a geodesic of fewer
            steps starts at a later place.
        rates: Likewise, of their change.
    """
    most = momenta.shape[1] - 1
    order = np.argsort(steps, kind="mergesort")
    work = _workspace()
    here = np.empty((2, 2 * WAVES, _ROW), np.float32)
    there, stage, rate = np.empty_like(here), np.empty_like(here), np.empty_like(here)
    pace = np.empty(_ROW, np.float32)
    for first in range(0, len(order), LANES):
        block = order[first : first + LANES]
        here[:] = _ZERO
        for lane in range(len(block)):
            _load(codes[block[lane]], plane.whitened, lane, here)
        for number in range(most - steps[block[-1]], most + 1):
            there[:] = here
            stage[:] = here
            pace[:] = _ZERO
            for part in range(4):
                _rate(stage, plane, work, rate)
                if part == 0:
                    for lane in range(len(block)):
                        code = block[lane]
                        if number >= most - steps[code]:
                            _store(here, lane, momenta[code, number])
                            _store(rate, lane, rates[code, number])
                            pace[lane::LANES] = _ONE / np.float32(steps[code])
                    if number == most:
                        break
                _move(here, rate, _AHEAD[part], pace, stage)
                _move(there, rate, _SHARES[part], pace, there)
            here[:] = there
    for code in range(len(codes)):
        if not _kept_length(codes[code], plane.whitened, momenta[code, most]):
            steps[code] = 0


@compiled
def _kept_length(code: Array, whitened: Array, momentum: Array) -> bool:
    """Return what `Shooter.keeps_length` does, of a code and the momentum at its end."""
    first, last = 0.0, 0.0
    for c in range(2):
        for i in range(code.shape[1]):
            for j in range(code.shape[2]):
                first += np.float64(code[c, i, j]) ** 2
                last += np.float64(whitened[c, i, j] * momentum[c, i, j]) ** 2
    return last < np.inf and np.sqrt(last) <= 1.5 * np.sqrt(first) + 1e-6


@compiled
def place(wave: int) -> int:
    """Return where a wave is among the sorted ones."""
    return wave // 2 + wave % 2 * WAVES


@compiled
def _load(code: Array, whitened: Array, lane: int, block: Array) -> None:
    for c in range(2):
        for i in range(code.shape[1]):
            for j in range(code.shape[2]):
                momentum = code[c, i, j] / whitened[c, i, j]
                block[c, place(i), place(j) * LANES + lane] = momentum


@compiled
def _store(block: Array, lane: int, coefficients: Array) -> None:
    for c in range(2):
        for i in range(coefficients.shape[1]):
            for j in range(coefficients.shape[2]):
                coefficients[c, i, j] = block[c, place(i), place(j) * LANES + lane]


@compiled
def _move(start: Array, rate: Array, share: np.float32, pace: Array, end: Array) -> None:
    for c in range(2):
        for i in range(2 * WAVES):
            for x in range(_ROW):
                end[c, i, x] = start[c, i, x] + share * pace[x] * rate[c, i, x]


def _products(width: int) -> tuple[Callable[..., None], ...]:
    """Return products of an axis' matrices with rows of that many numbers."""

    @compiled
    def evaluate(waves: Array, coefficients: Array, parity: np.float32, field: Array) -> None:
        """Evaluate waves; parity is 1, or -1 for slopes."""
        for i in range(POINTS):
            for x in range(width):
                even, odd = _ZERO, _ZERO
                for k in range(WAVES):
                    even += waves[0, i, k] * coefficients[k, x]
                    odd += waves[1, i, k] * coefficients[WAVES + k, x]
                field[i, x] = even + odd
                field[POINTS + i, x] = parity * (even - odd)

    @compiled
    def integrate(axis: Axis, c: int, folded: Array, along: Array, coefficients: Array) -> None:
        """Integrate a field against waves, and another one against their slopes."""
        for parity in range(2):
            for k in range(WAVES):
                for x in range(width):
                    total = _ZERO
                    for i in range(POINTS):
                        total += axis.back[c, parity, k, i] * folded[parity, i, x]
                        total += axis.back_slopes[c, parity, k, i] * along[1 - parity, i, x]
                    coefficients[parity * WAVES + k, x] = total

    return evaluate, integrate


_evaluate_rows, _integrate_rows = _products(_ROW)
_evaluate_lines, _integrate_lines = _products(_LINE)


@compiled
def _integrate_values(back: Array, folded: Array, lines: Array) -> None:
    for parity in range(2):
        for k in range(WAVES):
            for x in range(_LINE):
                total = _ZERO
                for i in range(POINTS):
                    total += back[parity, k, i] * folded[parity, i, x]
                lines[parity * WAVES + k, x] = total


@compiled
def _workspace() -> _Workspace:
    return _Workspace(
        velocity=np.empty((2 * WAVES, _ROW), np.float32),
        rows=np.empty((2 * POINTS, _ROW), np.float32),
        lines=np.empty((2 * WAVES, _LINE), np.float32),
        m=np.empty((2, 2 * POINTS, _LINE), np.float32),
        v=np.empty((2, 2 * POINTS, _LINE), np.float32),
        slopes=np.empty((2, 2, 2 * POINTS, _LINE), np.float32),
        folded=np.empty((2, POINTS, _LINE), np.float32),
        folded_along=np.empty((2, POINTS, _LINE), np.float32),
        ends=np.empty((2, POINTS, _ROW), np.float32),
        ends_along=np.empty((2, POINTS, _ROW), np.float32),
    )


@compiled
def _rate(momenta: Array, plane: Plane, work: _Workspace, rates: Array) -> None:
    """Fill in ∂m/∂t, as `geodesic` has it."""
    first, second = plane.first, plane.second
    rows, lines, m, v, slopes = work.rows, work.lines, work.m, work.v, work.slopes
    for c in range(2):
        _evaluate_rows(first.values[c], momenta[c], _ONE, rows)
        _turn(rows, lines)
        _evaluate_lines(second.values[c], lines, _ONE, m[c])
        _smooth(plane.kernel[c], momenta[c], work.velocity)
        _evaluate_rows(first.slopes[c], work.velocity, -_ONE, rows)
        _turn(rows, lines)
        _evaluate_lines(second.values[c], lines, _ONE, slopes[0, c])
        _evaluate_rows(first.values[c], work.velocity, _ONE, rows)
        _turn(rows, lines)
        _evaluate_lines(second.values[c], lines, _ONE, v[c])
        _evaluate_lines(second.slopes[c], lines, -_ONE, slopes[1, c])
    for c in range(2):
        _fold_products(m[0], slopes[c, 0], m[1], slopes[c, 1], work.folded)
        _fold_product(m[c], v[1], work.folded_along)
        _integrate_lines(second, c, work.folded, work.folded_along, lines)
        _turn_back(lines, rows)
        _fold(rows, work.ends)
        _fold_product(m[c], v[0], work.folded)
        _integrate_values(second.back[c], work.folded, lines)
        _turn_back(lines, rows)
        _fold(rows, work.ends_along)
        _integrate_rows(first, c, work.ends, work.ends_along, rates[c])


@compiled
def _smooth(kernel: Array, momentum: Array, velocity: Array) -> None:
    for i in range(2 * WAVES):
        for x in range(_ROW):
            velocity[i, x] = kernel[i, x] * momentum[i, x]


@compiled
def _turn(rows: Array, lines: Array) -> None:
    for j in range(2 * WAVES):
        for i in range(2 * POINTS):
            for lane in range(LANES):
                lines[j, i * LANES + lane] = rows[i, j * LANES + lane]


@compiled
def _turn_back(lines: Array, rows: Array) -> None:
    for i in range(2 * POINTS):
        for j in range(2 * WAVES):
            for lane in range(LANES):
                rows[i, j * LANES + lane] = lines[j, i * LANES + lane]


@compiled
def _fold(rows: Array, folded: Array) -> None:
    """Add up the halves of a field, and subtract them: its even part and its odd one."""
    for i in range(POINTS):
        for x in range(_ROW):
            folded[0, i, x] = rows[i, x] + rows[POINTS + i, x]
            folded[1, i, x] = rows[i, x] - rows[POINTS + i, x]


@compiled
def _fold_product(a: Array, b: Array, folded: Array) -> None:
    """Fold a · b."""
    for i in range(POINTS):
        for x in range(_LINE):
            near = a[i, x] * b[i, x]
            far = a[POINTS + i, x] * b[POINTS + i, x]
            folded[0, i, x] = near + far
            folded[1, i, x] = near - far


@compiled
def _fold_products(a: Array, b: Array, c: Array, d: Array, folded: Array) -> None:
    """Fold a · b + c · d."""
    for i in range(POINTS):
        for x in range(_LINE):
            near = a[i, x] * b[i, x] + c[i, x] * d[i, x]
            far = a[POINTS + i, x] * b[POINTS + i, x] + c[POINTS + i, x] * d[POINTS + i, x]
            folded[0, i, x] = near + far
            folded[1, i, x] = near - far

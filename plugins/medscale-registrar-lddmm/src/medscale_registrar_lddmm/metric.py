"""The space of velocities: band-limited vector fields with a multi-Gaussian metric.

A component is a sum of half waves: sines along its own axis and cosines along the others. So
nothing flows through the border, while tissue may slide along it. In this basis the smoother K is
diagonal, every derivative is exact, and a field is a function, not a grid: it can be evaluated at
any resolution.

A *code* z holds the field in whitened coordinates: the velocity is v = K^½ z and the momentum
m = K^-½ z, so that |z|² = ⟨m, K m⟩ is the squared length of the geodesic, and the Euclidean inner
product of codes is that of the metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Matrices = tuple[Tensor, ...]
"""One matrix (D, to, from) for each axis: what to apply to each component's coefficients."""


_LEAST_EIGENVALUE = 1e-10
"""Of the smoother: codes are divided by its root, and a Gaussian underflows to zero."""


@dataclass(frozen=True)
class Metric:
    """A basis of half waves on a box whose longest side is 1, and the smoother in it.

    Attributes:
        lengths: Sides of the box, at most 1.
        counts: Half waves per axis.
        kernel: (D, *counts) eigenvalues of the smoother K.
        points: Points per axis of the grid on which products are formed.
    """

    lengths: tuple[float, ...]
    counts: tuple[int, ...]
    kernel: Tensor
    points: tuple[int, ...]

    @property
    def dims(self) -> int:
        """Two or three."""
        return len(self.counts)

    @cached_property
    def steepest(self) -> float:
        """Bound of the speed, times the highest frequency, of a field of unit length.

        Any field is bounded by its length |z| in this metric (Sobolev embedding).
        """
        bound = float((2**self.dims * self.kernel[0].double().sum()).sqrt())
        sides = zip(self.counts, self.lengths, strict=True)
        return bound * math.pi * max(count / side for count, side in sides)

    def basis(self, points: Sequence[int], derivative: int | None = None) -> Matrices:
        """Return matrices that evaluate coefficients at cell centres.

        Args:
            points: Grid points per axis.
            derivative: The axis along which to differentiate, or None.
        """
        return tuple(
            torch.stack(
                [
                    _waves(
                        points[axis],
                        self.counts[axis],
                        self.lengths[axis],
                        sines=component == axis,
                        differentiate=derivative == axis,
                    )
                    for component in range(self.dims)
                ]
            ).to(self.kernel)
            for axis in range(self.dims)
        )


def box(shape: Sequence[int]) -> tuple[float, ...]:
    """Return the sides of an image's box, its longest being 1."""
    return tuple(n / max(shape) for n in shape)


def half_waves(shape: Sequence[int], frequencies: int) -> tuple[int, ...]:
    """Return half waves per axis, equally fine along each of them."""
    return tuple(max(2, math.ceil(frequencies * side)) for side in box(shape))


def make_metric(
    shape: Sequence[int],
    frequencies: int,
    widths: Sequence[float],
    weights: Sequence[float],
    like: Tensor,
) -> Metric:
    """Return the metric of images of that shape.

    Args:
        shape: Spatial shape; only its proportions matter.
        frequencies: Half waves along the longest side.
        widths: Standard deviations of the Gaussians, shares of the longest side.
        weights: Of the Gaussians; scaled to sum to 1, so that K keeps a constant field.
        like: Gives type and device.
    """
    lengths, counts = box(shape), half_waves(shape, frequencies)
    dims = len(shape)
    kernels = []
    for component in range(dims):
        squared = torch.zeros(counts, dtype=torch.float64)
        for axis, (count, side) in enumerate(zip(counts, lengths, strict=True)):
            first = 1 if axis == component else 0
            waves = math.pi * (torch.arange(count, dtype=torch.float64) + first) / side
            squared += waves.square().view(-1, *[1] * (dims - 1 - axis))
        kernel = torch.zeros(counts, dtype=torch.float64)
        for width, weight in zip(widths, weights, strict=True):
            kernel += weight / sum(weights) * torch.exp(-0.5 * width**2 * squared)
        kernels.append(kernel.clamp_min(_LEAST_EIGENVALUE))
    # A quarter more points than waves: the product of two fields is formed on this grid.
    points = tuple(count + max(4, count // 4) for count in counts)
    return Metric(lengths, counts, torch.stack(kernels).to(like), points)


def apply(matrices: Matrices, fields: Tensor) -> Tensor:
    """Apply each axis' matrices to (B, D, *from) fields, giving (B, D, *to)."""
    if len(matrices) == 2:
        return matrices[0] @ fields @ matrices[1].mT
    first, second, third = matrices
    fields = second[:, None] @ fields @ third[:, None].mT
    rest = fields.shape[3:]
    return (first @ fields.flatten(3)).view(*fields.shape[:2], -1, *rest)


def stacked(fields: Tensor) -> Tensor:
    """Return (B, D, *S) fields as (D, *S[:-1], B, S[-1]), for `apply_stacked`."""
    return fields.movedim(0, -2).contiguous()


def unstacked(fields: Tensor) -> Tensor:
    """Undo `stacked`."""
    return fields.movedim(-2, 0)


def apply_stacked(matrices: Matrices, fields: Tensor) -> Tensor:
    """Apply each axis' matrices to `stacked` fields: few large products in place of many small."""
    dims, batch, lead = len(fields), fields.shape[-2], fields.shape[1:-2]
    fields = torch.bmm(fields.flatten(1, -2), matrices[-1].mT)
    if len(lead) == 2:
        fields = matrices[1][:, None] @ fields.view(dims, *lead, -1)
    fields = torch.bmm(matrices[0], fields.view(dims, lead[0], -1))
    middle = [matrix.shape[1] for matrix in matrices[:-1]]
    return fields.view(dims, *middle, batch, -1)


def transposed(matrices: Matrices) -> Matrices:
    """Return the matrices of the adjoint map."""
    return tuple(matrix.mT for matrix in matrices)


def _waves(points: int, count: int, side: float, *, sines: bool, differentiate: bool) -> Tensor:
    """Return (points, count): half waves (or their derivatives) whose mean square is 1."""
    place = (torch.arange(points, dtype=torch.float64)[:, None] + 0.5) / points
    number = torch.arange(count, dtype=torch.float64) + (1 if sines else 0)
    phase = math.pi * place * number
    scale = torch.where(number == 0, 1.0, math.sqrt(2.0))
    if not differentiate:
        return scale * (torch.sin(phase) if sines else torch.cos(phase))
    slope = torch.cos(phase) if sines else -torch.sin(phase)
    return scale * slope * math.pi * number / side

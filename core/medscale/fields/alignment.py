"""Linear alignment: the fixed image is brought into the pose of the moving one.

Deformable registration should explain differences of shape, not of where a person lay. Maps are
(B, D, D+1) matrices [A | t] in voxels, array axis order, acting about the image's centre, the
linear part as in `medscale.fields.warp.affine_grid`:

    resample(fixed, matrix)(x) = fixed(A x + t),  x = 0 at the centre.

What is maximised is the correlation of intensities under a Gaussian window about the centre of the
moving image, less a small cost of moving. Without the window the outline of the body decides, which
says little about the pose of an organ in it: on slices of whole chests, translations found without
the window left hearts as far apart as they were.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.errors import DataError
from medscale.fields.warp import sample

Kind = Literal["translation", "similarity", "affine"]

FARTHEST = 0.25
"""Largest translation along an axis, as a share of the image's side."""

SCALES = (0.7, 1.4)
"""Range of the principal scales."""

STEEPEST = math.radians(30)
"""Largest angle of the rotation, radians."""

ANISOTROPY = 1.25
"""Largest ratio of two principal scales of an affine map: what is left to shear and stretch."""

WINDOW = 0.2
"""Standard deviation of the window, as a share of the longest side."""

_COST = 0.03
"""What it costs, in correlation, to move by 10 % of the longest side, or scale by 20 %, or turn by
0.2 radians; twice as much costs four times as much. So a pair without a clear pose stays."""

_FLAT = 1e-5
"""Deviation under the window below which a channel, scaled to [0, 1], shows nothing."""

_SIDES = {2: (16, 32, 64), 3: (12, 20, 32)}
"""Longest side of the lattices, coarse to fine, by the number of dimensions."""

_STEPS = (10, 8, 5)
"""Most steps on each lattice."""

_FINALISTS = 3
"""Starts that are followed on the coarsest lattice."""

_LEAST_GAIN = 1e-4
"""A step, or a whole alignment, that gains less correlation than this is not worth it."""


@torch.no_grad()
def align(moving: Tensor, fixed: Tensor, *, kind: Kind) -> Tensor:
    """Find the maps by which `fixed` looks most like `moving`, each pair for itself.

    Correlation ignores the gain and offset of intensities; channels count alike. Some starts are
    compared on a coarse lattice, the best are improved by Levenberg–Marquardt steps, and the
    winner is refined on finer ones. Voxels are taken to be as long along every axis.

    Args:
        moving: (B, C, *S) images whose pose is taken on.
        fixed: (B, C, *S) images to be moved.
        kind: "translation"; "similarity", with a rotation and one scale too; or "affine".

    Returns:
        (B, D, D+1) float32, within `FARTHEST`, `SCALES`, `STEEPEST` and `ANISOTROPY`. It is the
        identity where nothing correlates better than that, or where an image is flat or not finite.

    Raises:
        DataError: If the shapes differ, or are neither 2-D nor 3-D.

    Source:
        Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation
        coefficient maximization", TPAMI 2008, here with compositional, damped steps.
    """
    if moving.shape != fixed.shape or moving.ndim not in (4, 5):
        raise DataError(
            f"images to align have one shape (B, C, *S) with two or three spatial axes; got moving "
            f"{tuple(moving.shape)} and fixed {tuple(fixed.shape)}: prepare them at the same shape"
        )
    dims, longest = moving.ndim - 2, max(moving.shape[2:])
    moving, fixed = _unit_range(moving), _unit_range(fixed)
    generators = _generators(kind, dims, moving)
    everyone = torch.arange(len(moving), device=moving.device)
    sides = sorted({min(side, longest) for side in _SIDES[dims]})
    level = _Level(moving, fixed, sides[0])
    matrix = _search(level, generators)
    for side, steps in zip(sides[1:], _STEPS[1:], strict=False):
        level = _Level(moving, fixed, side)
        matrix, _ = _climb(level, matrix, everyone, generators, steps)
    identity = _identity(dims, moving).expand_as(matrix)
    gain = level.score(matrix, everyone) - level.score(identity, everyone)
    matrix = torch.where((gain > _LEAST_GAIN)[:, None, None], matrix, identity)
    return torch.cat([matrix[:, :, :-1], matrix[:, :, -1:] * level.half], dim=2)


def resample(image: Tensor, matrix: Tensor, *, padding: str = "border") -> Tensor:
    """Return out(x) = image(A x + t), by linear interpolation.

    Args:
        image: (B, C, *S) floating point.
        matrix: (B, D, D+1) in voxels about the image's centre, array axis order.
        padding: What lies outside: "border" continues the image, so that no edge appears that
            nobody has; "zeros" is right for labels.
    """
    shape = tuple(image.shape[2:])
    return sample(image, _grid(matrix.to(image), shape, shape), padding=padding)


def correlation(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return (B,) the correlation in [-1, 1] that `align` raises, on the images' own grid.

    It is weighted by the window, and averaged over channels; a flat channel counts as 0.
    """
    moving, fixed = _unit_range(moving), _unit_range(fixed)
    level = _Level(moving, fixed, max(moving.shape[2:]))
    everyone = torch.arange(len(moving), device=moving.device)
    return level.correlation(
        _identity(moving.ndim - 2, moving).expand(len(moving), -1, -1), everyone
    )


class _Level:
    """Pairs on one lattice.

    Methods take maps (R, D, D+1) and the pairs (R,) to which these belong. Within, lengths are
    halves of the longest side: then every entry of a map is of the order of 1.

    Attributes:
        half: The unit of length, voxels.
        place: (D, *L) where the lattice's cells are.
        weight: (N,) the window at the N cells, summing to 1.
        shift: (B, D) from the centre of intensity of `moving` to that of `fixed`.
    """

    def __init__(self, moving: Tensor, fixed: Tensor, side: int) -> None:
        self.shape = tuple(moving.shape[2:])
        self.half = max(self.shape) / 2
        factor = side / max(self.shape)
        self.lattice = tuple(max(min(n, 4), round(n * factor)) for n in self.shape)
        axes = [
            torch.arange(1 - g, g, 2, dtype=torch.float32) * (n / g / max(self.shape))
            for n, g in zip(self.shape, self.lattice, strict=True)
        ]
        self.place = torch.stack(torch.meshgrid(*axes, indexing="ij")).to(moving.device)
        self._steps = [
            2 * n / g / max(self.shape) for n, g in zip(self.shape, self.lattice, strict=True)
        ]
        weight = torch.exp(-self.place.square().sum(0) / (2 * (2 * WINDOW) ** 2)).flatten()
        self.weight = weight / weight.sum()
        self._fixed = _reduced(fixed, self.lattice)
        reduced = _reduced(moving, self.lattice)
        self._template, _ = self._standardised(reduced.flatten(2))
        self.shift = self._centroid(self._fixed) - self._centroid(reduced)

    def score(self, matrix: Tensor, pairs: Tensor) -> Tensor:
        """Return (R,) what is maximised; less than anything else where a map is out of bounds."""
        score = self.correlation(matrix, pairs) - self._cost(matrix)
        return torch.where(_allowed(matrix, self.shape), score, -math.inf)

    def _cost(self, matrix: Tensor) -> Tensor:
        change = matrix - _identity(matrix.shape[1], matrix)
        return _COST * _moves(change).square().sum((1, 2))

    def correlation(self, matrix: Tensor, pairs: Tensor) -> Tensor:
        """Return (R,) correlations, averaged over channels."""
        values, _ = self._standardised(self._look(matrix, pairs).flatten(2))
        return (values * self._template[pairs]).sum(2).mean(1)

    def equations(self, matrix: Tensor, pairs: Tensor, generators: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Gauss–Newton matrix (R, P, P) and the ascent direction (R, P), float64.

        With standardised images a and b, correlation is 1 − |a − b|² / 2: a least-squares problem,
        as is the cost of moving.
        """
        image = self._look(matrix, pairs)
        values, inverse = self._standardised(image.flatten(2))
        # By the entries of G in W ∘ exp(G): slopes of the warped image times homogeneous places.
        rates = [
            slope if place is None else slope * place
            for slope in self._slopes(image)
            for place in (*self.place, None)
        ]
        change = torch.stack(rates, dim=1).flatten(3)
        change = (change - (change * self.weight).sum(3, keepdim=True)) * self.weight.sqrt()
        change = change * inverse[:, None]
        change = change - values[:, None] * (change * values[:, None]).sum(3, keepdim=True)
        ascent = (change * self._template[pairs][:, None]).sum(3).mean(2)
        change = change.flatten(2)
        normal = change @ change.mT / values.shape[1]
        basis = generators.flatten(1).double()
        normal = basis @ normal.double() @ basis.T
        ascent = ascent.double() @ basis.T
        # The cost's share, by how each generator moves: W ∘ exp(G) has A G for its change.
        costs = (_moves(matrix[:, None, :, :-1] @ generators) * math.sqrt(2 * _COST)).flatten(2)
        cost = (_moves(matrix - _identity(matrix.shape[1], matrix)) * math.sqrt(2 * _COST)).flatten(
            1
        )
        costs, cost = costs.double(), cost.double()
        return normal + costs @ costs.mT, ascent - (costs @ cost[:, :, None])[:, :, 0]

    def _look(self, matrix: Tensor, pairs: Tensor) -> Tensor:
        to_voxels = torch.cat([matrix[:, :, :-1], matrix[:, :, -1:] * self.half], dim=2)
        grid = _grid(to_voxels, self.shape, self.lattice)
        return sample(self._fixed[pairs], grid, padding="border")

    def _standardised(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return (R, C, N) of mean 0 and norm 1 under the window, and 1 over the former norm."""
        values = (values - (values * self.weight).sum(2, keepdim=True)) * self.weight.sqrt()
        norm = values.norm(dim=2, keepdim=True)
        inverse = torch.where(norm > _FLAT, 1 / norm, 0)
        return values * inverse, inverse

    def _slopes(self, image: Tensor) -> list[Tensor]:
        """Return the slope along each axis, per half of the longest side."""
        return [
            torch.gradient(image, spacing=step, dim=axis)[0] if n > 1 else torch.zeros_like(image)
            for axis, (n, step) in enumerate(zip(self.lattice, self._steps, strict=True), start=2)
        ]

    def _centroid(self, image: Tensor) -> Tensor:
        """Return (B, D) the centre of intensity under the window."""
        mass = image.flatten(2).sum(1) * self.weight
        moment = (mass[:, None] * self.place.flatten(1)).sum(2)
        return moment / mass.sum(1, keepdim=True).clamp_min(_FLAT)


def _search(level: _Level, generators: Tensor) -> Tensor:
    """Return (B, D, D+1) maps found from many starts on the coarsest lattice."""
    linear = _starts(generators)
    rest = torch.zeros_like(level.shift)
    # Beyond its bound a start would score below the identity.
    bound = 0.99 * FARTHEST * level.shift.new_tensor(level.shape) / level.half
    moves = torch.stack([rest, level.shift.clamp(-bound, bound)], dim=1)
    count, dims = rest.shape
    starts = torch.cat(
        [
            linear[None, None].expand(count, 2, -1, -1, -1),
            moves[:, :, None, :, None].expand(-1, -1, len(linear), -1, -1),
        ],
        dim=4,
    ).flatten(1, 2)
    pairs = torch.arange(count, device=rest.device)
    scores = torch.stack([level.score(start, pairs) for start in starts.unbind(1)], dim=1)
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, :_FINALISTS]
    chosen = starts[pairs[:, None], order]
    climbed, reached = _climb(
        level, chosen.flatten(0, 1), pairs.repeat_interleave(order.shape[1]), generators, _STEPS[0]
    )
    best = reached.view(count, -1).argmax(1)
    return climbed.view(count, -1, dims, dims + 1)[pairs, best]


def _climb(
    level: _Level, matrix: Tensor, pairs: Tensor, generators: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Return improved maps (R, D, D+1) and their scores (R,).

    Every row has its own damping and its own end, so rows do not know of each other.
    """
    score = level.score(matrix, pairs)
    found, reached = matrix.clone(), score.clone()
    damping = torch.full_like(score, 0.01, dtype=torch.float64)
    rows = torch.arange(len(pairs), device=pairs.device)
    for _ in range(steps):
        normal, ascent = level.equations(matrix, pairs, generators)
        ridge = damping[:, None] * normal.diagonal(dim1=1, dim2=2) + 1e-9
        change, _ = torch.linalg.solve_ex(normal + torch.diag_embed(ridge), ascent)
        change = change.nan_to_num(0, 0, 0).clamp(-0.5, 0.5).float()
        trial = _composed(matrix, (change @ generators.flatten(1)).view_as(matrix))
        gain = level.score(trial, pairs) - score
        better = gain > 0
        matrix = torch.where(better[:, None, None], trial, matrix)
        score = torch.where(better, score + gain, score)
        damping = torch.where(better, damping * 0.2, damping * 10)
        found[rows], reached[rows] = matrix, score
        # A refused step is tried again, shorter, until it is hardly a step any more.
        going = torch.where(better, gain > _LEAST_GAIN, damping < 1e4)
        if not going.any():
            break
        matrix, score, damping = matrix[going], score[going], damping[going]
        pairs, rows = pairs[going], rows[going]
    return found, reached


def _generators(kind: Kind, dims: int, like: Tensor) -> Tensor:
    """Return (P, D, D+1) the directions in which a map may change, translations first."""
    planes = list(itertools.combinations(range(dims), 2))
    if kind == "translation":
        entries = []
    elif kind == "similarity":
        entries = [{(i, j): 1.0, (j, i): -1.0} for i, j in planes]
        entries.append({(i, i): 1.0 for i in range(dims)})
    else:
        entries = [{(i, j): 1.0} for i in range(dims) for j in range(dims)]
    entries = [{(i, dims): 1.0} for i in range(dims)] + entries
    generators = torch.zeros(len(entries), dims, dims + 1)
    for generator, entry in zip(generators, entries, strict=True):
        for place, value in entry.items():
            generator[place] = value
    return generators.to(like.device)


def _starts(generators: Tensor) -> Tensor:
    """Return (K, D, D) linear parts to start from: a few scales and turns where these are free."""
    dims = generators.shape[1]
    starts = torch.eye(dims)[None]
    if len(generators) > dims:
        turns = [torch.zeros(dims, dims)]
        for i, j in itertools.combinations(range(dims), 2):
            turn = torch.zeros(dims, dims)
            turn[i, j], turn[j, i] = STEEPEST / 2, -STEEPEST / 2
            turns += [turn, -turn]
        rotations = torch.linalg.matrix_exp(torch.stack(turns))
        starts = torch.cat(
            [scale * rotations for scale in (1.0, SCALES[0] ** 0.5, SCALES[1] ** 0.5)]
        )
    return starts.to(generators.device)


def _composed(matrix: Tensor, generator: Tensor) -> Tensor:
    """Return W ∘ exp(G), the translation of G being applied as it is."""
    linear = matrix[:, :, :-1]
    move = matrix[:, :, -1:] + linear @ generator[:, :, -1:]
    return torch.cat([linear @ torch.linalg.matrix_exp(generator[:, :, :-1]), move], dim=2)


def _allowed(matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (R,) whether maps, with translations in halves of the longest side, are in bounds."""
    left, scales, right = torch.linalg.svd(matrix[:, :, :-1].double())
    trace: Tensor = (left @ right).diagonal(dim1=1, dim2=2).sum(1)
    cosine = trace / 2 if len(shape) == 2 else (trace - 1) / 2
    farthest = 2 * FARTHEST * matrix.new_tensor(shape) / max(shape)
    small, large = scales.amin(1), scales.amax(1)
    allowed: Tensor = (matrix[:, :, -1].abs() <= farthest).all(1) & (small >= SCALES[0])
    allowed &= (large <= SCALES[1]) & (large <= ANISOTROPY * small)
    allowed &= cosine >= math.cos(STEEPEST)
    return allowed


def _moves(change: Tensor) -> Tensor:
    """Return (…, D, D+1) changes of a map in units of which each costs `_COST`."""
    units = change.new_full(change.shape[-2:], 1 / (0.2 * math.sqrt(2)))
    units[:, -1] = 1 / 0.2
    return change * units


def _identity(dims: int, like: Tensor) -> Tensor:
    return torch.eye(dims, dims + 1, device=like.device)


def _grid(matrix: Tensor, shape: tuple[int, ...], lattice: tuple[int, ...]) -> Tensor:
    """Return the sampling grid (B, *L, D) of maps in voxels of an image of that shape."""
    extent = matrix.new_tensor(shape)
    linear = (matrix[:, :, :-1] * (extent / extent[:, None])).flip(1, 2)
    move = (2 * matrix[:, :, -1] / extent).flip(1)
    theta = torch.cat([linear, move[:, :, None]], dim=2)
    return F.affine_grid(theta, [len(matrix), 1, *lattice], align_corners=False)


def _unit_range(image: Tensor) -> Tensor:
    """Return channels scaled to [0, 1] in float32; 0 where one is flat, or its image not finite."""
    # Correlation ignores gain and offset; so scaled, no square overflows or drowns.
    values = image.flatten(2).double()
    low, high = values.aminmax(dim=2, keepdim=True)
    flat = (high - low) <= 1e-6 * torch.maximum(low.abs(), high.abs())
    finite = values.isfinite().all(2, keepdim=True).all(1, keepdim=True)
    scaled = torch.where(finite & ~flat, (values - low) / (high - low), 0)
    return scaled.float().view(image.shape)


def _reduced(image: Tensor, lattice: tuple[int, ...]) -> Tensor:
    """Return means of the image over the cells of a lattice."""
    return (
        image if tuple(image.shape[2:]) == lattice else F.interpolate(image, lattice, mode="area")
    )


__all__ = ["Kind", "align", "correlation", "resample"]

"""How two sets of deformations differ: folds, volume change, smoothness, variety, distribution.

Any two sets compare: generated and registered deformations, or two halves of the registered ones,
which say how much of a difference means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medscale.fields.jacobian import jacobian_determinant


@dataclass(frozen=True, kw_only=True)
class FieldSummary:
    """What a set of deformations is like; lengths are shares of the image's longest side.

    Attributes:
        folding: Share of voxels with det ∇φ ≤ 0.
        jacobian_spread: Standard deviation of log2 det ∇φ where nothing folds: 1 is a factor of 2.
        roughness: Root mean square of the gradient of the displacement.
        length: Root mean square of the displacement.
        diversity: Mean root mean square distance of two different deformations of one image.
    """

    folding: float
    jacobian_spread: float
    roughness: float
    length: float
    diversity: float


@torch.no_grad()
def summarise(fields: Tensor) -> FieldSummary:
    """Describe deformations of several images.

    Args:
        fields: (I, K, D, *S) displacements in voxels, K of each of I images.
    """
    images, each = fields.shape[:2]
    every, longest = fields.flatten(0, 1), max(fields.shape[3:])
    determinant = jacobian_determinant(every)
    axes = tuple(range(2, every.ndim))
    gradient = torch.stack(torch.gradient(every, dim=axes), dim=1)
    points = fields.reshape(images, each, -1) / longest
    cells = every[0, 0].numel()
    distances = torch.cat([torch.pdist(own) for own in points]) / cells**0.5
    return FieldSummary(
        folding=float((determinant <= 0).float().mean()),
        jacobian_spread=float(determinant[determinant > 0].log2().std()),
        roughness=float(gradient.square().sum((1, 2)).mean().sqrt()),
        length=float(every.square().sum(1).mean().sqrt()) / longest,
        diversity=float(distances.mean()) if len(distances) else 0.0,
    )


@dataclass(frozen=True, kw_only=True)
class TwoSamples:
    """Whether two samples may come from one distribution.

    Attributes:
        distance: Energy distance (Székely and Rizzo 2013), as a share of the mean distance of a
            point of one sample to one of the other: 0 for equal distributions, at most 1.
        expected: The mean of it where labels are dealt out anew: what equal distributions show.
        probability: p-value of the permutation test.
    """

    distance: float
    expected: float
    probability: float


@torch.no_grad()
def compare(
    first: Tensor, second: Tensor, generator: torch.Generator, *, permutations: int = 200
) -> TwoSamples:
    """Compare two samples of points.

    Args:
        first: (I, K, *V) K points of each of I groups, such as deformations of I images.
        second: (I, L, *V) of the same groups. Labels are permuted within a group, so that what
            groups differ in counts for neither side.
        generator: Deals out labels.
        permutations: How often.
    """
    groups, of_first = first.shape[:2]
    points = torch.cat([first.flatten(2), second.flatten(2)], dim=1)
    each = points.shape[1]
    distances = torch.cdist(points.flatten(0, 1), points.flatten(0, 1))
    labels = (torch.arange(each) < of_first).expand(groups, each)
    found = _energy(distances, labels)
    dealt = []
    for _ in range(permutations):
        lots = torch.rand(labels.shape, generator=generator).argsort(1)
        dealt.append(_energy(distances, labels.gather(1, lots)))
    beyond = sum(other >= found for other in dealt)
    return TwoSamples(
        distance=found,
        expected=sum(dealt) / permutations,
        probability=(1 + beyond) / (1 + permutations),
    )


def _energy(distances: Tensor, labels: Tensor) -> float:
    """Return the normalised energy distance of points (N, N) with labels (N,)."""
    one = labels.flatten().to(distances)
    other = 1 - one
    across = one @ distances @ other / (one.sum() * other.sum())
    within = one @ distances @ one / one.sum() ** 2 + other @ distances @ other / other.sum() ** 2
    return float((2 * across - within) / (2 * across).clamp_min(1e-12))

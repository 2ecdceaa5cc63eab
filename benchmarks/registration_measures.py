"""What a registration is judged by: overlap, folds, inverse consistency, true displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from benchmarks.registration_pairs import Pairs, warp_labels
from torch import Tensor

from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose

MARGIN = 1 / 12
"""Share of each side that consistency leaves out: beyond the border, maps are guesses."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measures over all pairs of a set; NaN where a set or method does not have one.

    Attributes:
        dice: Mean over pairs of the mean Dice over the labels of the pair.
        folds: Number of pixels with det ∇φ ≤ 0, over all pairs.
        fold_share: The same, as a share of all pixels.
        folded_pairs: Number of pairs with such a pixel.
        least_determinant: The smallest det ∇φ of all pairs.
        length: Mean |u| in pixels.
        own_inverse: Mean |φ∘φ⁻¹ − id| in pixels, inside, with the method's own inverse.
        swap: Mean |φ_AB∘φ_BA − id| in pixels, inside, of registering both ways.
        error: Mean |u − truth| in pixels where the fixed image shows something.
        label_error: Mean |u − truth| in pixels inside the fixed image's labels.
    """

    dice: float
    folds: int
    fold_share: float
    folded_pairs: int
    least_determinant: float
    length: float
    own_inverse: float
    swap: float
    error: float
    label_error: float


def measure(
    pairs: Pairs, displacement: Tensor, inverse: Tensor | None, back: Tensor | None
) -> Quality:
    """Judge the displacements of all pairs.

    Args:
        pairs: What was registered.
        displacement: (N, 2, H, W) in pixels.
        inverse: (N, 2, H, W) of the inverse maps, where the method gives them.
        back: (n ≤ N, 2, H, W) of registering fixed to moving, for the first pairs.
    """
    determinant = jacobian_determinant(displacement)
    folded = determinant <= 0
    truth, foreground = pairs.displacement, pairs.foreground
    return Quality(
        dice=float(_dice(pairs, displacement).mean()),
        folds=int(folded.sum()),
        fold_share=float(folded.float().mean()),
        folded_pairs=int(folded.flatten(1).any(1).sum()),
        least_determinant=float(determinant.min()),
        length=float(displacement.norm(dim=1).mean()),
        own_inverse=math.nan if inverse is None else _residual(displacement, inverse),
        swap=math.nan if back is None else _residual(displacement[: len(back)], back),
        error=_error(displacement, truth, foreground),
        label_error=_error(displacement, truth, pairs.fixed_labels > 0),
    )


def _dice(pairs: Pairs, displacement: Tensor) -> Tensor:
    """Return (N,) the mean Dice over the labels that the fixed or the warped map has."""
    warped = warp_labels(pairs.moving_labels, displacement)
    scores = []
    for value in pairs.labels:
        one, other = (labels.flatten(1) == value for labels in (warped, pairs.fixed_labels))
        size = (one.sum(1) + other.sum(1)).float()
        scores.append(2 * (one & other).sum(1) / size)  # 0/0: the pair lacks it, and it is left out
    return torch.stack(scores, 1).nanmean(1)


def _residual(displacement: Tensor, inverse: Tensor) -> float:
    """Return the mean length of the composed displacement in the interior, in pixels."""
    length = compose(displacement, inverse).norm(dim=1)
    rows, columns = (slice(round(n * MARGIN), n - round(n * MARGIN)) for n in length.shape[1:])
    return float(length[:, rows, columns].mean())


def _error(displacement: Tensor, truth: Tensor | None, where: Tensor | None) -> float:
    """Return the mean over pairs of the mean end-point error there, in pixels."""
    if truth is None or where is None:
        return math.nan
    length = (displacement - truth).norm(dim=1)
    return float(((length * where).flatten(1).sum(1) / where.flatten(1).sum(1)).mean())

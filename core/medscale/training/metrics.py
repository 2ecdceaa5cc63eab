"""Scores of predictions, one per case."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

METRIC_VERSION = 1
"""Raised when a score changes its meaning; part of every trial's identity."""


def case_scores(logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Score each case of a batch.

    Args:
        logits: (B, 1, *S).
        masks: (B, 1, *S), 0 or 1.

    Returns:
        Tensors (B,): `bce`, the mean binary cross-entropy over voxels (nats); `dice` at
        probability ½, 1 where prediction and truth are both empty; `predicted` and `true`, the
        shares of foreground.
    """
    bce = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").flatten(1).mean(1)
    predicted, true = (logits > 0).flatten(1), (masks > 0.5).flatten(1)
    overlap = (predicted & true).sum(1)
    total = predicted.sum(1) + true.sum(1)
    dice = torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)
    voxels = predicted.shape[1]
    return {
        "bce": bce,
        "dice": dice,
        "predicted": predicted.sum(1) / voxels,
        "true": true.sum(1) / voxels,
    }

"""Training losses on logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from medscale.training.options import TrainingOptions


def loss(logits: Tensor, masks: Tensor, options: TrainingOptions) -> Tensor:
    """Return the training loss of a batch.

    Args:
        logits: (B, 1, *S).
        masks: (B, 1, *S), 0 or 1.
        options: Says which loss.

    Returns:
        A scalar: mean binary cross-entropy, and for "bce_dice" plus 1 − soft Dice. Soft Dice is
        taken over the whole batch, so that an image without foreground does not dominate it.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    if options.loss == "bce":
        return entropy
    shares = logits.sigmoid()
    overlap = 2 * (shares * masks).sum() + 1
    return entropy + 1 - overlap / (shares.sum() + masks.sum() + 1)

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
        A scalar: mean binary cross-entropy, and for "bce_dice" plus the mean over images of
        1 − soft Dice. It is taken image by image, as the score is, so that small structures count
        as much as large ones; one voxel is added to either side of the ratio, so that an image
        without foreground has a gradient too.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    if options.loss == "bce":
        return entropy
    shares, truth = logits.sigmoid().flatten(1), masks.flatten(1)
    overlap = 2 * (shares * truth).sum(1) + 1
    dice = overlap / (shares.sum(1) + truth.sum(1) + 1)
    return entropy + 1 - dice.mean()

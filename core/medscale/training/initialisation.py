"""Where a training starts: initial weights and the initial guess."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_LAYERS = (
    nn.Linear,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def xavier(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers as Xavier uniform, biases as zero.

    Norms, embeddings and other parameters keep what their code drew. (Glorot & Bengio 2010; Chu et
    al. 2025, section 2.)
    """
    for layer in network.modules():
        if isinstance(layer, _LAYERS):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class PriorGuess(nn.Module):
    """Adds to a network's logits the log-odds of foreground in the training subset.

    The untrained network then guesses that share everywhere, instead of one half. Structures cover
    few voxels, and Adam moves a bias by no more than its learning rate per step, so short trainings
    would spend themselves on learning how much background there is. (Lin et al. 2017, "Focal Loss
    for Dense Object Detection", section 4.1.)

    Args:
        network: Returns logits.
        share: Of foreground voxels in the training subset, in (0, 1).
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        super().__init__()
        self.network = network
        self.log_odds: Tensor
        self.register_buffer("log_odds", torch.tensor(math.log(share / (1 - share))))

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits, shifted."""
        logits: Tensor = self.network(images)
        return logits + self.log_odds

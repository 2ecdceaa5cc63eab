"""Initial weights."""

from __future__ import annotations

from torch import nn

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

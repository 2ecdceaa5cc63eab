"""Generator and critic: a small image encoder each, and a perceptron on its features.

Both work on coefficients of deformations (`basis`), so 2-D and 3-D differ in the encoder alone,
and a generated batch costs a few small matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (16, 32, 32)
"""Channels of the encoder; each layer halves the image."""

_FEATURES = 32
_HIDDEN = 128
_SLOPE = 0.2
"""Of the leaky rectifiers."""

_THUMBNAIL = {2: 32, 3: 16}
"""Longest side of what the encoder sees, by the number of axes."""

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Encoder(nn.Module):
    """Maps thumbnails (B, C, *T) to features (B, F).

    Args:
        form: (C, *T).
    """

    def __init__(self, form: Sequence[int]) -> None:
        super().__init__()
        channels, *shape = form
        convolution = nn.Conv2d if len(shape) == 2 else nn.Conv3d
        layers: list[nn.Module] = []
        cells = list(shape)
        for before, after in pairwise((channels, *_WIDTHS)):
            layers += [convolution(before, after, 3, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
            cells = [(n + 1) // 2 for n in cells]
        inner = _WIDTHS[-1] * math.prod(cells)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inner, _FEATURES))

    def forward(self, thumbnails: Tensor) -> Tensor:
        """Return the features of images in [0, 1]."""
        features: Tensor = self.layers(thumbnails - 0.5)
        return features


class Generator(nn.Module):
    """Maps features of an image and noise to coefficients of a deformation.

    Noise is added to what the perceptron says. So weights of zero give normal coefficients, which
    have the second moments of the registered ones, and what is learned is what more there is to
    these.

    Args:
        form: (C, *T) of the thumbnails.
        components: K, of the noise too.
    """

    scales: Tensor
    longest: Tensor

    def __init__(self, form: Sequence[int], *, components: int) -> None:
        super().__init__()
        self.register_buffer("scales", torch.ones(components))
        self.register_buffer("longest", torch.ones(()))
        self.encoder = Encoder(form)
        self.hidden = _hidden(_FEATURES + components)
        self.last = nn.Linear(_HIDDEN, components)

    def bound(self, scales: Tensor, longest: float) -> None:
        """Keep deformations from getting too long.

        Args:
            scales: (K,) the length of each component.
            longest: Of all deformations that may be generated.
        """
        self.scales.copy_(scales)
        self.longest.fill_(longest)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Return coefficients (B, K), shortened where they would deform too much."""
        coefficients: Tensor = noise + self.last(self.hidden(torch.cat([features, noise], dim=1)))
        length = (coefficients * self.scales).norm(dim=1, keepdim=True)
        bounded: Tensor = coefficients * (self.longest / length.clamp_min(1e-12)).clamp(max=1.0)
        return bounded


class Critic(nn.Module):
    """Maps images and coefficients of deformations to logits: registered, or generated?"""

    def __init__(self, form: Sequence[int], *, components: int) -> None:
        super().__init__()
        self.encoder = Encoder(form)
        self.hidden = _hidden(_FEATURES + components)
        self.last = nn.Linear(_HIDDEN, 1)

    def forward(self, features: Tensor, coefficients: Tensor) -> Tensor:
        """Return logits (B,)."""
        logits: Tensor = self.last(self.hidden(torch.cat([features, coefficients], dim=1)))
        return logits[:, 0]


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights (He et al. 2015) from a generator; biases are zero."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, a=_SLOPE, generator=generator)


def without_weights(build: Callable[[], NetworkT], device: torch.device) -> NetworkT:
    """Build a network whose weights are not set, and draw nothing from global generators."""
    with torch.device("meta"):
        network = build()
    return network.to_empty(device=device)


def thumbnails(images: Tensor) -> Tensor:
    """Shrink images (B, C, *S) to what the encoder sees."""
    shape = images.shape[2:]
    share = min(1.0, _THUMBNAIL[len(shape)] / max(shape))
    return F.interpolate(images, [max(1, round(n * share)) for n in shape], mode="area")


def _hidden(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN),
        nn.LeakyReLU(_SLOPE),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.LeakyReLU(_SLOPE),
    )

"""A generator in use: from an image and noise to a deformation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medscale_augmenter_gen.networks import Generator, without_weights

_NETWORK = "network."


@dataclass(frozen=True)
class TrainedGenerator:
    """What makes deformations.

    Attributes:
        network: From features and noise to coefficients.
        vectors: (K, *V) the deformations that coefficients count.
    """

    network: Generator
    vectors: Tensor

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor], device: torch.device) -> TrainedGenerator:
        """Return the generator that `tensors` gave."""
        vectors = tensors["vectors"].to(device)
        network = without_weights(
            lambda: Generator(tensors["form"].tolist(), components=len(vectors)), device
        )
        network.load_state_dict(
            {
                name.removeprefix(_NETWORK): weights
                for name, weights in tensors.items()
                if name.startswith(_NETWORK)
            }
        )
        return cls(network, vectors)

    def tensors(self, form: Sequence[int]) -> dict[str, Tensor]:
        """Return all that `load` needs, by name.

        Args:
            form: (C, *T) of the thumbnails.
        """
        weights = self.network.state_dict()
        return {_NETWORK + name: weight for name, weight in weights.items()} | {
            "vectors": self.vectors,
            "form": torch.tensor(form),
        }

    def features(self, thumbnails: Tensor) -> Tensor:
        """Return (B, F) what it sees in images."""
        features: Tensor = self.network.encoder(thumbnails)
        return features

    def deformations(self, features: Tensor, noise: Tensor, extents: Tensor) -> Tensor:
        """Return (B, *V) deformations, each scaled by its extent."""
        coefficients = self.network(features, noise.to(features))
        scaled = coefficients * extents.to(features)[:, None]
        deformations: Tensor = torch.tensordot(scaled, self.vectors, dims=1)
        return deformations

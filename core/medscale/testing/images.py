"""Smooth toy images of which the kit knows what to expect."""

from __future__ import annotations

import torch
from torch import Tensor

from medscale.fields.warp import identity_grid
from medscale.identity import array_key
from medscale.protocols import Batch, PoolView

Shape = tuple[int, ...]


def blobs(shape: Shape, count: int, *, channels: int = 1, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Return images of a smooth bright blob with texture around it, and the blob's masks.

    Args:
        shape: Spatial shape S.
        count: Number of images; no two are alike.
        channels: Channels, each with a brightness of its own.
        seed: Of the places, sizes and textures.

    Returns:
        (N, C, *S) float32 in [0, 1] and (N, 1, *S) float32, 0 or 1.
    """
    generator = torch.Generator().manual_seed(seed)
    place = identity_grid(shape, torch.zeros(()))  # (1, *S, D) from -1 to 1
    lead = (count, *[1] * len(shape))
    centre = (torch.rand(*lead, len(shape), generator=generator) - 0.5) * 0.4
    radius = 0.35 + 0.2 * torch.rand(lead, generator=generator)
    distance = (place - centre).norm(dim=-1) / radius
    phase = 6.28 * torch.rand(*lead, len(shape), generator=generator)
    texture = torch.sin(4 * place + phase).mean(-1)
    image = 0.55 * torch.sigmoid(6 * (1 - distance)) + 0.15 * (1 + texture)
    shades = torch.linspace(1.0, 0.7, channels).view(1, channels, *[1] * len(shape))
    return image[:, None] * shades, (distance < 1).float()[:, None]


def batch_of(shape: Shape, count: int, *, channels: int = 1) -> Batch:
    """Return a batch of the first rows of `pool_of` with as many images or more."""
    images, masks = blobs(shape, 6, channels=channels)
    return Batch(images[:count], masks[:count], torch.arange(count))


def pool_of(shape: Shape, size: int, *, channels: int = 1) -> PoolView:
    """Return a pool of which the first half (at least one image) is annotated."""
    images, masks = blobs(shape, 6, channels=channels)
    images, annotated = images[:size].clone(), max(1, size // 2)
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(size),
        names=tuple(f"image{i}" for i in range(size)),
        subset=tuple(range(annotated)),
        masks=masks[:annotated].clone(),
        positions=torch.linspace(0, 1, size),
        content=array_key(images.numpy()),
        seed=11,
    )

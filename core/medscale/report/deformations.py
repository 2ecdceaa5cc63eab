"""Generated deformations beside registered ones: what they are like, and whether images stay real.

Labels have no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.fields.comparison import FieldSummary, TwoSamples, compare, summarise
from medscale.fields.warp import warp
from medscale.report.wording import percent
from medscale.training.augmentation import at_shape

_COARSE = 16
"""Longest side of images and fields whose distributions are compared."""


@dataclass(frozen=True, kw_only=True)
class DeformationQuality:
    """Sampled deformations of some images, and their registered ones.

    Attributes:
        sampled: What the sampled ones are like.
        registered: What the registered ones are like.
        fields: Whether the two may be of one distribution, image by image.
        sampled_images: Whether images under sampled deformations may be images of the pool.
        registered_images: The same of registered deformations.
    """

    sampled: FieldSummary
    registered: FieldSummary
    fields: TwoSamples
    sampled_images: TwoSamples
    registered_images: TwoSamples


def judge(
    sampled: Tensor,
    registered: Tensor,
    images: Tensor,
    others: Tensor,
    generator: torch.Generator,
) -> DeformationQuality:
    """Compare deformations of I images, K of each.

    Args:
        sampled: (I, K, D, *G) displacements in voxels of the image; G may be coarser.
        registered: (I, K, D, *S).
        images: (I, C, *S).
        others: (J, C, *S) other images of the pool.
        generator: Deals out labels in the permutation tests.
    """
    shape = tuple(images.shape[2:])
    count, each = sampled.shape[:2]
    sampled = at_shape(sampled.flatten(0, 1), shape).view(count, each, -1, *shape)
    pool = _coarse(others)
    tests = [
        compare(pool[None], _coarse(warp(images, fields[:, 0]))[None], generator)
        for fields in (sampled, registered)
    ]
    return DeformationQuality(
        sampled=summarise(sampled),
        registered=summarise(registered),
        fields=compare(_coarse_fields(sampled), _coarse_fields(registered), generator),
        sampled_images=tests[0],
        registered_images=tests[1],
    )


def quality_rows(quality: DeformationQuality) -> list[tuple[str, str, str]]:
    """Return what to print: measure, sampled, registered."""
    sampled, registered = quality.sampled, quality.registered
    return [
        ("folded voxels", percent(sampled.folding, 4), percent(registered.folding, 4)),
        *(
            (title, f"{getattr(sampled, name):.3f}", f"{getattr(registered, name):.3f}")
            for title, name in (
                ("spread of log2 det ∇φ", "jacobian_spread"),
                ("gradient of the displacement", "roughness"),
                ("displacement, share of the image", "length"),
                ("distance within an image", "diversity"),
            )
        ),
        (
            "distance of sampled to registered",
            f"{quality.fields.distance:.3f}",
            f"{quality.fields.expected:.3f} by chance",
        ),
        (
            "distance of warped images to the pool",
            f"{quality.sampled_images.distance:.3f} (p = {quality.sampled_images.probability:.2f})",
            f"{quality.registered_images.distance:.3f} "
            f"(p = {quality.registered_images.probability:.2f})",
        ),
    ]


def _coarse(images: Tensor) -> Tensor:
    """Shrink images (N, C, *S), which fine structure would keep apart whatever is done."""
    shape = images.shape[2:]
    share = min(1.0, _COARSE / max(shape))
    return F.interpolate(images, [max(1, round(n * share)) for n in shape], mode="area")


def _coarse_fields(fields: Tensor) -> Tensor:
    """Shrink fields (I, K, D, *S)."""
    coarse = _coarse(fields.flatten(0, 1))
    return coarse.view(*fields.shape[:2], *coarse.shape[1:])

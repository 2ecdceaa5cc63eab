"""Deforming a batch by an augmenter's displacements alone, without the baseline."""

from __future__ import annotations

from torch import Tensor

from medscale.fields.warp import warp
from medscale.protocols import Batch
from medscale.training.augmentation import at_shape


def deform(batch: Batch, displacement: Tensor) -> Batch:
    """Warp images linearly and masks with threshold ½; zero outside.

    A batch of which no sample is displaced is returned as it is.

    It is what an augmenter that has `displacements` does in `augment`. In training core composes
    them with the baseline instead, and resamples once.

    Args:
        batch: Images and masks.
        displacement: (B, D, *G) in voxels of the image; G may be coarser than the image's grid.
    """
    if not displacement.any():
        return batch
    field = at_shape(displacement, tuple(batch.images.shape[2:]))
    return batch.replace(
        images=warp(batch.images, field),
        masks=(warp(batch.masks, field) >= 0.5).to(batch.masks.dtype),
    )

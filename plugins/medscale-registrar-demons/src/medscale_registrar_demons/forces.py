"""Demons forces, the only part that SimpleITK does."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from torch import Tensor


class DemonsForces:
    """Symmetric demons forces: the gradients of both images, averaged (Vercauteren et al. 2009).

    Single-threaded, by a setting of the filter: SimpleITK's own setting is the whole process's.
    """

    def __init__(self) -> None:
        # One iteration from no displacement, unsmoothed, is the force itself.
        self._filter = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        self._filter.SetNumberOfIterations(1)
        self._filter.SmoothDisplacementFieldOff()
        self._filter.SmoothUpdateFieldOff()
        self._filter.SetNumberOfThreads(1)

    def __call__(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return (B, D, *S) voxels, at most half a voxel long, the mean of the channels' forces.

        Args:
            moving: (B, C, *S), warped as far as is known.
            fixed: (B, C, *S).
        """
        forces = [
            torch.stack([self._force(*channels) for channels in zip(*pair, strict=True)]).mean(0)
            for pair in zip(moving, fixed, strict=True)
        ]
        return torch.stack(forces)

    def _force(self, moving: Tensor, fixed: Tensor) -> Tensor:
        images = [sitk.GetImageFromArray(image.numpy()) for image in (fixed, moving)]
        vectors = sitk.GetArrayFromImage(self._filter.Execute(*images))
        # SimpleITK's vectors have the array's last axis first.
        return torch.from_numpy(vectors.astype(np.float32)).flip(-1).movedim(-1, 0)

"""A finished picture with what there is to segment in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Picture:
    """One image and its annotation.

    Attributes:
        image: (size, size) float32.
        label: (size, size) integers, or (K, size, size) booleans where structures overlap.
        structures: How many label values or masks there are.
    """

    image: npt.NDArray[np.float32]
    label: npt.NDArray[Any]
    structures: int

    @property
    def smallest_share(self) -> float:
        """Share of the picture that the smallest structure covers."""
        masks = self.label
        if masks.ndim == 2:
            masks = masks == np.arange(1, self.structures + 1)[:, None, None]
        return float(masks.mean(axis=(1, 2)).min())

"""What a generator learns from: images, and the deformations that registration found for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_HELD_ASIDE = 8
"""One source in so many is left out of training, and judges what was learned."""


@dataclass(frozen=True)
class Lesson:
    """Sources and their registered deformations, the identity among them.

    Attributes:
        images: (S, C, *T) thumbnails of the sources.
        owners: (N,) the source of each deformation, in rising order.
        fields: (N, D, *G) their displacements, in voxels of the grid.
        codes: (N, *V) their codes, where codes are to be generated; None where fields are.
    """

    images: Tensor
    owners: Tensor
    fields: Tensor
    codes: Tensor | None

    @property
    def points(self) -> Tensor:
        """(N, *V) what is to be generated."""
        return self.fields if self.codes is None else self.codes

    def part(self, sources: range) -> Lesson:
        """Return the lesson of consecutive sources."""
        chosen = (self.owners >= sources.start) & (self.owners < sources.stop)
        return Lesson(
            self.images[sources.start : sources.stop],
            self.owners[chosen] - sources.start,
            self.fields[chosen],
            None if self.codes is None else self.codes[chosen],
        )

    def split(self) -> tuple[Lesson, Lesson]:
        """Return what is trained on, and what is held aside to judge.

        Few sources are all trained on, and judge as well.
        """
        count = len(self.images)
        aside = count // _HELD_ASIDE
        if not aside:
            return self, self
        return self.part(range(aside, count)), self.part(range(aside))


def spread(points: Tensor, owners: Tensor) -> float:
    """Return the mean distance of two different deformations of one source.

    Zero where no source has two.

    Args:
        points: (N, *V).
        owners: (N,) the source of each.
    """
    flat = points.flatten(1)
    distances = [torch.pdist(flat[owners == owner]) for owner in sorted(set(owners.tolist()))]
    every = torch.cat(distances)
    return float(every.mean()) if len(every) else 0.0

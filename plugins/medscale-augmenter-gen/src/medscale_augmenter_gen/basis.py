"""Deformations as coefficients: principal components of the registered displacement fields.

What is generated is a point of a vector space: a registrar's code, or a displacement field itself.
In either case components are chosen by what they displace. They are taken about zero, which is the
identity, so that scaling coefficients by μ scales the deformation, and zero deforms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Basis:
    """Components, each as long as the registered deformations spread along it.

    Attributes:
        vectors: (K, *V) of the codes, or of the displacement fields.
        fields: (K, D, *G) of the displacement fields, orthogonal.
        longest: Length of the longest registered displacement field.
        kept: Share of the mean square of registered displacements that the components hold.
    """

    vectors: Tensor
    fields: Tensor
    longest: float
    kept: float

    @classmethod
    def of(cls, fields: Tensor, codes: Tensor | None, components: int) -> Basis:
        """Return the components of registered deformations, at most that many.

        A component's vector is the regression of codes on the coefficients of their fields. What
        holds next to nothing is left out.

        Args:
            fields: (N, D, *G).
            codes: (N, *V), or None where fields are to be generated.
            components: At most.
        """
        flat = fields.flatten(1)
        left, values, _ = torch.linalg.svd(flat.double(), full_matrices=False)
        count = min(components, int((values > 1e-6 * values[0]).sum()))
        shares = left[:, :count].T / len(flat) ** 0.5

        def components_of(points: Tensor) -> Tensor:
            vectors: Tensor = (shares @ points.flatten(1).double()).to(points)
            return vectors.view(count, *points.shape[1:])

        return cls(
            vectors=components_of(fields if codes is None else codes),
            fields=components_of(fields),
            longest=float(flat.norm(dim=1).max()),
            kept=float(values[:count].square().sum() / values.square().sum()),
        )

    @cached_property
    def scales(self) -> Tensor:
        """(K,) the length of each component's field."""
        lengths: Tensor = self.fields.flatten(1).norm(dim=1)
        return lengths

    def coefficients(self, fields: Tensor) -> Tensor:
        """Return (N, K) coefficients of displacement fields (N, D, *G)."""
        projections: Tensor = fields.flatten(1) @ self.fields.flatten(1).T
        return projections / self.scales.square()

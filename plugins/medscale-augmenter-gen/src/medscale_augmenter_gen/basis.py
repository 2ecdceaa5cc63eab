"""Deformations as coefficients: principal components of what is generated.

That is a point of a vector space: a registrar's code, or a displacement field itself. Components
are taken about zero, which is the identity, so that scaling coefficients by μ scales the
deformation, and zero deforms nothing.
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
        vectors: (K, *V) of the codes, or of the displacement fields; orthogonal.
        fields: (K, D, *G) displacement fields of the components, to first order.
        longest: Length of the longest registered deformation, as a point.
        kept: Share of the mean square of registered points that the components hold.
    """

    vectors: Tensor
    fields: Tensor
    longest: float
    kept: float

    @classmethod
    def of(cls, points: Tensor, fields: Tensor, components: int) -> Basis:
        """Return the components of registered deformations, at most that many.

        A component's field is the regression of displacement fields on its coefficients. The other
        way round, codes by regression on the coefficients of fields, loses a third of the gradient
        of registered deformations. What holds next to nothing is left out.

        Args:
            points: (N, *V) codes, or displacement fields where these are to be generated.
            fields: (N, D, *G) displacement fields of the same deformations.
            components: At most.
        """
        flat = points.flatten(1)
        left, values, _ = torch.linalg.svd(flat.double(), full_matrices=False)
        count = min(components, int((values > 1e-6 * values[0]).sum()))
        shares = left[:, :count].T / len(flat) ** 0.5

        def components_of(each: Tensor) -> Tensor:
            vectors: Tensor = (shares @ each.flatten(1).double()).to(each)
            return vectors.view(count, *each.shape[1:])

        return cls(
            vectors=components_of(points),
            fields=components_of(fields),
            longest=float(flat.norm(dim=1).max()),
            kept=float(values[:count].square().sum() / values.square().sum()),
        )

    @cached_property
    def scales(self) -> Tensor:
        """(K,) the length of each component's vector."""
        lengths: Tensor = self.vectors.flatten(1).norm(dim=1)
        return lengths

    def coefficients(self, points: Tensor) -> Tensor:
        """Return (N, K) coefficients of points (N, *V); registered ones have a mean square of 1."""
        projections: Tensor = points.flatten(1) @ self.vectors.flatten(1).T
        return projections / self.scales.square()

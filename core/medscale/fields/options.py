"""Options of an augmenter whose deformations come from registered pairs of the pool."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medscale.config import Options, plugin_option
from medscale.fields.quality import Gate


class RegistrationOptions(Options):
    """Which pairs are registered, which of them count, and how far a sample goes.

    Base of the options of such an augmenter, which adds its own. A source is the image that is
    deformed, its targets are those that it is registered to.
    """

    registrar: str = plugin_option(
        "registrar", default="lddmm", description="registrar plugin; its options are its own"
    )
    targets_per_source: int = Field(
        default=16, ge=1, description="images that each source is registered to"
    )
    window: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="largest difference in slice position (0 to 1) of images that are taken for "
        "homologous; beyond it the nearest slices are taken, where there are too few",
    )
    alignment: Literal["none", "translation", "similarity", "affine"] = Field(
        default="similarity",
        description="how targets are brought into the pose of their source before registration; "
        "the pose itself is never used to augment",
    )
    extent_min: float = Field(
        default=-1.0,
        description="least share of a deformation that a sample goes: 0 is none of it, below that "
        "it goes the other way",
    )
    extent_max: float = Field(
        default=2.0, description="largest share of it; beyond 1 it is extrapolated"
    )
    prob: float = Field(
        default=1.0, ge=0, le=1, description="probability that a sample is deformed"
    )
    grid: int = Field(
        default=32,
        ge=8,
        description="longest side of the grid on which deformations are computed, points; more "
        "where no such grid has the image's proportions",
    )
    gate: Gate = Field(
        default=Gate(), description="which registrations are too bad to be used; needs no label"
    )

    @model_validator(mode="after")
    def _check_extent(self) -> RegistrationOptions:
        if self.extent_max < self.extent_min:
            raise ValueError(
                f"extent_max is {self.extent_max:g}, expected at least extent_min, "
                f"{self.extent_min:g}"
            )
        return self

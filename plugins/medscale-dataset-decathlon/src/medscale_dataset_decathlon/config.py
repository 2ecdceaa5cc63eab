"""Options of the Decathlon data sets."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from medscale.config import Options


class DecathlonOptions(Options):
    """How Decathlon volumes become cases."""

    dims: int = Field(
        default=2,
        ge=2,
        le=3,
        description="2 for slices (each slice is a case), 3 for whole volumes.",
    )
    axis: int = Field(
        default=2,
        ge=0,
        le=2,
        description="Array axis that slices are cut across; 2 gives axial slices. For dims=2.",
    )
    every: int = Field(
        default=1,
        ge=1,
        description="Take every k-th slice of a volume, from the first on. For dims=2.",
    )
    slices: Literal["all", "mid"] = Field(
        default="all",
        description="Slices of each volume: all of them, or the middle third (position 1/3 to "
        "2/3). For dims=2.",
    )

    @model_validator(mode="after")
    def _slices_only(self) -> Self:
        if self.dims == 3 and (self.axis, self.every, self.slices) != (2, 1, "all"):
            raise ValueError("axis, every and slices choose slices, expected dims=2 with them")
        return self

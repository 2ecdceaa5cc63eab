"""Options of `reg`."""

from typing import Literal

from pydantic import Field, model_validator

from medscale.config import Options, plugin_option
from medscale.fields.quality import Gate


class RegOptions(Options):
    """Deformation towards other images, found by registration."""

    registrar: str = plugin_option(
        "registrar", default="lddmm", description="registrar plugin; its options are its own"
    )
    targets: Literal["external", "pool", "subset"] = Field(
        default="external",
        description="towards which images a training image may be deformed: the pool but the "
        "training subset (published), the whole pool, or the training subset alone (no external "
        "images)",
    )
    targets_per_source: int = Field(
        default=16, ge=1, description="images that each training image is registered to"
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
        description="how targets are brought into the pose of the training image before "
        "registration; the pose itself is never used to augment",
    )
    mix: int = Field(
        default=2,
        ge=1,
        description="most registrations combined in one sample, drawn uniformly from 1",
    )
    extent_min: float = Field(
        default=0.0, description="least distance along the geodesic, as a share of its length"
    )
    extent_max: float = Field(
        default=1.0,
        description="largest distance along the geodesic; beyond 1, or below 0, extrapolates",
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
    def _check_extent(self) -> "RegOptions":
        if self.extent_max < self.extent_min:
            raise ValueError(
                f"extent_max is {self.extent_max:g}, expected at least extent_min, "
                f"{self.extent_min:g}"
            )
        return self

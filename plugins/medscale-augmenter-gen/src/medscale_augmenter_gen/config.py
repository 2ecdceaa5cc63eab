"""Options of `gen`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medscale.config import Options, plugin_option
from medscale.fields.quality import Gate


class TrainingOptions(Options):
    """How the generator is trained against its critic."""

    iterations: int = Field(default=1500, ge=1, description="steps of generator and critic")
    batch_size: int = Field(default=64, ge=4, description="deformations in one step")
    noise: int = Field(default=16, ge=1, description="random numbers that make one deformation")
    components: int = Field(
        default=64,
        ge=1,
        description="principal components of the registered deformations that are generated",
    )
    smoothness: float = Field(
        default=0.05,
        ge=0,
        description="weight of the mean squared gradient of the deformation, as a share of the "
        "registered ones'",
    )
    folding: float = Field(
        default=10.0, ge=0, description="weight of relu(-det) of the map's gradient"
    )
    diversity: float = Field(
        default=1.0,
        ge=0,
        description="weight of the share by which two samples of an image are closer than two of "
        "its registered deformations",
    )
    least_spread: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="spread of generated deformations of an image, as a share of the spread of "
        "its registered ones, below which the generator has collapsed",
    )
    attempts: int = Field(default=3, ge=1, description="seeds that are tried, should it collapse")


class GenOptions(Options):
    """Deformation by a generator that has learned from registered pairs."""

    registrar: str = plugin_option(
        "registrar", default="lddmm", description="registrar plugin; its options are its own"
    )
    parameterization: Literal["momentum", "displacement"] = Field(
        default="momentum",
        description="what is generated: codes of the registrar, which it turns into maps, or "
        "displacement fields (published)",
    )
    targets: Literal["pool", "subset"] = Field(
        default="pool",
        description="which images are registered to each other: the whole pool (published), or "
        "the training subset alone (no external images)",
    )
    sources: int = Field(
        default=128,
        ge=1,
        description="most images that are registered to others; drawn by their pixels, the same "
        "whichever are annotated",
    )
    targets_per_source: int = Field(
        default=16, ge=1, description="images that each of them is registered to"
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
    gate: Gate = Field(
        default=Gate(), description="which registrations are too bad to be used; needs no label"
    )
    training: TrainingOptions = Field(
        default=TrainingOptions(), description="how the generator is trained"
    )
    extent_min: float = Field(
        default=0.0, description="least factor of a generated deformation (μ)"
    )
    extent_max: float = Field(default=1.0, description="largest factor of one")
    prob: float = Field(
        default=1.0, ge=0, le=1, description="probability that a sample is deformed"
    )
    grid: int = Field(
        default=32,
        ge=8,
        description="longest side of the grid on which deformations are computed, points; more "
        "where no such grid has the image's proportions",
    )

    @model_validator(mode="after")
    def _check_extent(self) -> GenOptions:
        if self.extent_max < self.extent_min:
            raise ValueError(
                f"extent_max is {self.extent_max:g}, expected at least extent_min, "
                f"{self.extent_min:g}"
            )
        return self

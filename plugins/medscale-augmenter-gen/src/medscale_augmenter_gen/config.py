"""Options of `gen`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medscale.config import Options
from medscale.fields.options import RegistrationOptions


class TrainingOptions(Options):
    """How the generator is trained against its critic."""

    iterations: int = Field(default=1500, ge=1, description="steps of generator and critic")
    batch_size: int = Field(default=64, ge=4, description="deformations in one step")
    components: int = Field(
        default=256,
        ge=1,
        description="principal components of the registered deformations that are generated, and "
        "so the random numbers that make one",
    )
    smoothness: float = Field(
        default=0.05,
        ge=0,
        description="weight of the mean squared gradient of the deformation, as a share of the "
        "registered ones'",
    )
    folding: float = Field(
        default=1000.0,
        ge=0,
        description="weight of relu(-det) of the map's gradient, where fields are generated",
    )
    least_spread: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="spread of generated deformations of an image, as a share of the spread of "
        "its registered ones, below which the generator has collapsed",
    )
    attempts: int = Field(default=3, ge=1, description="seeds that are tried, should it collapse")


class GenOptions(RegistrationOptions):
    """Deformation by a generator that has learned from registered pairs."""

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
    training: TrainingOptions = Field(
        default=TrainingOptions(), description="how the generator is trained"
    )

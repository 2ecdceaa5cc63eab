"""Options of preparing a cohort and of splitting it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from medscale.config import Options


class PrepareOptions(Options):
    """How cases become arrays of one shape."""

    shape: tuple[int, ...] | None = Field(
        default=None,
        description="pixels (voxels) along each axis; one number means a square or cube; "
        "by default 128 in 2-D and 48 in 3-D (published: 512 in 2-D)",
    )
    intensity: Literal["percentile", "minmax"] = Field(
        default="percentile",
        description="what is scaled to [0, 1] in each image: its 0.5th to 99.5th percentile, "
        "clipped, or its minimum to maximum (published: minmax, read from 'normalized to [0,1]')",
    )

    @field_validator("shape", mode="before")
    @classmethod
    def _parse_shape(cls, value: object) -> object:
        if isinstance(value, int):
            return (value,)
        if isinstance(value, str):
            return tuple(part.strip() for part in value.lower().replace("x", ",").split(","))
        return value

    @field_validator("shape")
    @classmethod
    def _check_shape(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and not (1 <= len(value) <= 3 and all(8 <= n <= 4096 for n in value)):
            raise ValueError("expected one to three numbers from 8 to 4096, such as 96 or 32,48,32")
        return value

    def resolved_shape(self, dims: int) -> tuple[int, ...]:
        """Return the shape for images of that many dimensions.

        Raises:
            ValueError: If the given shape has another number of axes.
        """
        if self.shape is None:
            return (128,) * 2 if dims == 2 else (48,) * 3
        if len(self.shape) == 1:
            return self.shape * dims
        if len(self.shape) != dims:
            raise ValueError(f"shape {self.shape} has {len(self.shape)} axes, the images {dims}")
        return self.shape


class SplitOptions(Options):
    """How people are divided into test, validation and pool."""

    test: float = Field(default=0.25, gt=0, lt=1, description="share of the subjects for the test")
    validation: float = Field(
        default=0.15, gt=0, lt=1, description="share of the subjects for choosing checkpoints"
    )
    max_validation: int | None = Field(
        default=64,
        ge=1,
        description="at most that many validation cases, spread over its subjects, so that small "
        "trainings do not spend their time validating; none for all (published: all)",
    )

    @field_validator("max_validation", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if value in ("none", "all") else value

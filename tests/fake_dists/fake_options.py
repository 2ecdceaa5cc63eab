"""Options that the fake plugins share."""

from typing import Literal

from medscale.config import Options
from pydantic import BaseModel, Field


class Grid(BaseModel):
    """A nested group."""

    spacing: float = Field(default=2.0, gt=0, description="distance of the points, mm")


class FakeOptions(Options):
    """One option of each form."""

    strength: float = Field(default=0.5, ge=0, le=1, description="share of the way, no unit")
    mode: Literal["near", "far"] = Field(default="near", description="where to look")
    shape: tuple[int, int] | None = Field(default=None, description="pixels along each axis")
    grid: Grid = Field(default=Grid(), description="control points")

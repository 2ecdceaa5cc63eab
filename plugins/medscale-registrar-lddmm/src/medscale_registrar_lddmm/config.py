"""Options of `lddmm`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from medscale.config import Options


class LDDMMOptions(Options):
    """Geodesic registration. Lengths are shares of the longest side of the image."""

    similarity: Literal["lncc", "ncc", "ssd"] = Field(
        default="lncc",
        description="what makes images alike: local correlation (windows), correlation of the "
        "whole images, or squared differences",
    )
    weight: float | None = Field(
        default=None,
        gt=0,
        description="weight of the similarity against the length of the geodesic; larger deforms "
        "more; by default 0.1 for lncc and ncc, 2 for ssd",
    )
    widths: tuple[float, ...] = Field(
        default=(0.07, 0.14, 0.28),
        min_length=1,
        description="standard deviations of the Gaussians of the smoother, shares of the longest "
        "side",
    )
    width_weights: tuple[float, ...] = Field(
        default=(0.2, 0.3, 0.5), min_length=1, description="weight of each width; they sum to 1"
    )
    frequencies: int = Field(
        default=14,
        ge=2,
        le=64,
        description="half waves per longest side that a velocity is made of; a code has D times "
        "this number to the power of D entries",
    )
    resolution: int = Field(
        default=128,
        ge=16,
        description="largest side at which images are compared, pixels; larger ones are shrunk",
    )
    iterations: tuple[int, ...] = Field(
        default=(40, 40, 30, 15),
        min_length=1,
        description="most evaluations per level, from the coarsest (each half the next) to the "
        "finest; a pair that no longer improves stops by itself",
    )
    steps: int = Field(
        default=2,
        ge=2,
        le=48,
        description="least Runge-Kutta steps of a geodesic; long ones take more by themselves",
    )
    symmetric: bool = Field(
        default=True,
        description="compare images at both ends of the geodesic, so that registering A to B and "
        "B to A undo each other; otherwise at the fixed image only",
    )

    @field_validator("widths", "width_weights", "iterations", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(","))
        return (value,) if isinstance(value, int | float) else value

    @field_validator("widths", "width_weights", "iterations")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError("every entry has to be above 0")
        return value

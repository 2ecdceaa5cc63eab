"""Options of the ACDC data set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medscale.config import Options


class AcdcOptions(Options):
    """Which slices of ACDC make up the cohort."""

    phases: Literal["ed", "es", "both"] = Field(
        default="both",
        description="Heart phases to use: end-diastole, end-systole, or both.",
    )
    slices: Literal["all", "mid"] = Field(
        default="all",
        description=(
            "Slices of each volume: all of them, or the middle third (position 1/3 to 2/3). "
            "Slices without the task's structure are left out by medscale either way."
        ),
    )
    include_testing: bool = Field(
        default=False,
        description="Whether to add the 50 patients of the official testing folder to the cohort.",
    )

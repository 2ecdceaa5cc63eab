"""Options of `reg`."""

from typing import Literal

from pydantic import Field

from medscale.fields.options import RegistrationOptions


class RegOptions(RegistrationOptions):
    """Deformation towards other images, found by registration."""

    targets: Literal["external", "pool", "subset"] = Field(
        default="external",
        description="towards which images a training image may be deformed: the pool but the "
        "training subset (published), the whole pool, or the training subset alone (no external "
        "images)",
    )
    mix: int = Field(
        default=2,
        ge=1,
        description="most registrations combined in one sample, drawn uniformly from 1",
    )

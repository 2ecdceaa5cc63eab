"""Options of the phantom data set."""

from typing import Literal

from pydantic import Field

from medscale.config import Options

Variant = Literal["cardiac", "thorax", "fundus"]


class PhantomOptions(Options):
    """What to draw and how hard to make it."""

    variant: Variant = Field(
        default="cardiac",
        description="anatomy: cardiac (short-axis MRI; tasks lv, rv, myo, heart), thorax (chest "
        "radiograph; tasks lungs, heart) or fundus (eye; tasks disc, cup)",
    )
    subjects: int = Field(default=120, ge=1, le=1_000_000, description="number of people")
    images_per_subject: int = Field(
        default=1,
        ge=1,
        le=32,
        description="images of each person: other heart phases, breaths or the other eye, with "
        "other pose and contrast",
    )
    size: int = Field(default=128, ge=64, le=1024, description="side of the square images, pixels")
    seed: int = Field(
        default=0, ge=0, description="seed of the whole population; another one, other people"
    )
    variation: float = Field(
        default=1.0, ge=0, le=2, description="multiplier of how much shape differs between people"
    )
    noise: float = Field(default=1.0, ge=0, le=4, description="multiplier of image noise")

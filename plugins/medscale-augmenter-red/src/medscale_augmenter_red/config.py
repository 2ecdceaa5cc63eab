"""Options of `red`; the defaults are the published ones."""

from pydantic import Field

from medscale.config import Options


class RedOptions(Options):
    """Random elastic deformation, as MONAI's Rand2DElastic draws it."""

    prob: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="probability that a sample is deformed (published: MONAI's default, 0.1, so "
        "nine samples in ten are left alone)",
    )
    spacing: float = Field(
        default=10.0, ge=1, description="distance of the control points, pixels of the study"
    )
    magnitude_min: float = Field(
        default=1.0, ge=0, description="least standard deviation of a sample's offsets, pixels"
    )
    magnitude_max: float = Field(
        default=3.0, ge=0, description="largest standard deviation of a sample's offsets, pixels"
    )

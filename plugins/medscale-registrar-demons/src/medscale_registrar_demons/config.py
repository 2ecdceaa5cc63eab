"""Options of `demons`."""

from pydantic import Field

from medscale.config import Options


class DemonsOptions(Options):
    """How long, how smoothly and how finely two images are brought together."""

    levels: int = Field(
        default=3,
        ge=1,
        le=8,
        description="resolutions, each twice as fine as the one before, up to the image's own",
    )
    iterations: int = Field(default=50, ge=1, description="demons steps at each resolution")
    sigma_field: float = Field(
        default=1.0,
        ge=0,
        description="standard deviation of the Gaussian that smooths the velocity after every "
        "step, voxels of the resolution at hand",
    )
    sigma_update: float = Field(
        default=2.0,
        ge=0,
        description="standard deviation of the Gaussian that smooths every step before it is "
        "added, voxels of the resolution at hand",
    )
    grid: int = Field(
        default=64,
        ge=2,
        description="most points of the velocity along an axis; it never has more than half as "
        "many as the image",
    )

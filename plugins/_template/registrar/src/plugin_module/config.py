"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """How finely and how long two images are brought together."""

    points: int = Field(default=6, ge=2, description="control points along each axis")
    iterations: int = Field(default=40, ge=1, description="steps of the optimiser")
    smoothness: float = Field(
        default=0.01, ge=0, description="weight of the velocity's slopes against the images"
    )

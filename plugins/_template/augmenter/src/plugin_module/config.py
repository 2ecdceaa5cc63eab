"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """How far and how smoothly images are deformed."""

    amplitude: float = Field(
        default=3.0, ge=0, description="standard deviation of the control points' moves, pixels"
    )
    points: int = Field(default=5, ge=2, description="control points along each axis")

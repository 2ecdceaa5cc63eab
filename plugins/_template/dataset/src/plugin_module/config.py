"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """How many images there are, and of what size."""

    subjects: int = Field(default=40, ge=1, description="number of subjects")
    slices: int = Field(default=2, ge=2, description="images of each subject")
    size: int = Field(default=64, ge=8, description="height and width, pixels")

"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """The size of the network."""

    width: int = Field(default=16, ge=1, description="channels at full resolution")

"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """What is scored."""

    signed: bool = Field(
        default=False, description="tell too much foreground (positive) from too little (negative)"
    )

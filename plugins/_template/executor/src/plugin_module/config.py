"""Options of `plugin_name`."""

from pydantic import Field

from medscale.config import Options


class PluginOptions(Options):
    """How workers are watched."""

    poll: float = Field(
        default=0.2, gt=0, le=1, description="seconds between two looks at the worker"
    )

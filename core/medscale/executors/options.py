"""Options of core's executors."""

from __future__ import annotations

from pydantic import Field

from medscale.config import Options


class SerialOptions(Options):
    """There is nothing to set."""


class ProcessOptions(Options):
    """Worker processes on this machine."""

    grace: float = Field(
        default=10.0, ge=0, description="seconds that a worker gets to stop before it is killed"
    )

"""Options of `none`."""

from medscale.config import Options


class NoneOptions(Options):
    """There is nothing to set."""

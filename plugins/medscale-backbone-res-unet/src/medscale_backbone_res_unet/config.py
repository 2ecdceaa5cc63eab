"""Options of `res_unet`."""

from pydantic import Field

from medscale.config import Options


class ResUNetOptions(Options):
    """A residual U-Net of four levels."""

    width: int = Field(
        default=32,
        ge=2,
        le=512,
        description="channels of the first level, doubled at each of four (published: 32, 1.96 M "
        "parameters); 8 trains about six times faster on a CPU",
    )

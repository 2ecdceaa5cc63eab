"""Options of `swin_unet`."""

from pydantic import Field

from medscale.config import Options


class SwinUNetOptions(Options):
    """A Swin transformer encoder with a convolutional decoder."""

    feature_size: int = Field(
        default=12,
        ge=12,
        le=480,
        multiple_of=12,
        description="channels of the first level, a multiple of 12 (published: 12, 1.59 M "
        "parameters)",
    )

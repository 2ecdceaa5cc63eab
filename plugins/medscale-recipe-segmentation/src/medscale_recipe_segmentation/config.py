"""Options of `segmentation`."""

from pydantic import Field

from medscale.config import Options


class SegmentationOptions(Options):
    """What is scored beyond BCE and Dice."""

    surface: bool = Field(
        default=False,
        description="also score HD95 (mm) and the normalised surface Dice (NSD) of every test case",
    )
    tolerance: float = Field(
        default=2.0, gt=0, description="distance within which NSD accepts a surface, mm"
    )

"""Options of the folder data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from medscale.config import Options
from medscale.spec import NAME

LabelValue = Annotated[int, Field(ge=1, le=32767)]


class FolderOptions(Options):
    """How the files of a plain folder become cases."""

    labels: dict[str, tuple[LabelValue, ...]] | None = Field(
        default=None,
        description=(
            "Names for the values of label maps: --set folder.labels.lv=3 --set "
            'folder.labels.wall=1,2, or --set \'folder.labels={"lv": 3, "wall": [1, 2]}\'. Every '
            "value that occurs needs a name. Without it the label maps are read once to find the "
            "values."
        ),
    )
    grayscale: bool = Field(
        default=True,
        description="Whether colour images become one channel (luminance) or stay three.",
    )
    cut_axis: int | None = Field(
        default=None,
        ge=0,
        le=2,
        description=(
            "Axis across which 3-D NIfTI volumes are cut into 2-D slices: after turning to RAS, 0 "
            "cuts sagittal slices, 1 coronal and 2 axial ones; of what is not turned, it is the "
            "stored axis."
        ),
    )
    orientation: Literal["ras", "stored"] = Field(
        default="ras",
        description=(
            "Whether NIfTI images and their masks are turned by their headers, so that axes run to "
            "the right, to the front and up as nearly as whole axes allow (ras), or taken in their "
            "stored order (stored)."
        ),
    )
    may_be_absent: bool = Field(
        default=False,
        description=(
            "Whether an image without a task's structure is normal, and left out, instead of an "
            "error. Slices that are cut out of volumes may always lack it."
        ),
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, labels: Any) -> Any:
        if not isinstance(labels, Mapping):
            return labels
        return {name: _as_list(values) for name, values in labels.items()}

    @field_validator("labels", mode="after")
    @classmethod
    def _names_can_be_typed(
        cls, labels: dict[str, tuple[int, ...]] | None
    ) -> dict[str, tuple[int, ...]] | None:
        for name, values in (labels or {}).items():
            if not NAME.fullmatch(name):
                raise ValueError(f"name {name!r} is not a name, expected [a-z][a-z0-9_]*")
            if not values:
                raise ValueError(f"{name} has no value, expected at least one")
        if labels == {}:
            raise ValueError("no name is given, expected something like folder.labels.lv=3")
        return labels


def _as_list(values: Any) -> Any:
    if isinstance(values, str):  # from --set folder.labels.wall=1,2
        return [value.strip() for value in values.split(",")]
    return [values] if isinstance(values, int) else values

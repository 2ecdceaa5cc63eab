"""What a data set hands over: cases, their images and labels, and the tasks they serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One binary target: the union of some labels.

    Attributes:
        labels: The label values that are foreground; with masks, the mask indices (from 0).
        may_be_absent: True where a case without this structure is normal, as in the apical
            slices of a heart. Such cases are left out of the task's cohort and counted; where
            False, a case without foreground is an error that names it.
        main: Whether a study that names no task is about this one; one task of a data set at most.
        description: One line for people.
    """

    labels: tuple[int, ...]
    may_be_absent: bool = False
    main: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image of one person, known without reading its pixels.

    Attributes:
        id: Unique within the data set and stable between machines.
        subject: The person. No split ever puts one subject on two sides.
        group: A stratum such as a diagnosis or a site, or "".
        position: For a slice, where it lies in its volume, from 0 to 1; None otherwise.
        files: The files it is read from, so that errors can name them and a changed file is
            noticed. Empty for synthetic data.
    """

    id: str
    subject: str
    group: str = ""
    position: float | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The pixels of one case.

    Attributes:
        image: (C, *S), any real type; S has 2 or 3 axes.
        label: (*S) integers, 0 being background; or (K, *S) booleans, one mask per structure,
            where structures may overlap.
        spacing: Size of a voxel along each axis of S, in mm; ones where unknown.
    """

    image: Array
    label: Array
    spacing: tuple[float, ...]

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The shape S of the image without its channels."""
        return tuple(int(n) for n in np.shape(self.image)[1:])

"""ACDC as 2-D short-axis slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

from medscale.data.cases import Case, Sample, Task
from medscale.data.nifti import (
    SPATIAL_AXES,
    cut_slice,
    in_middle_third,
    read_nifti_shape,
    read_volume,
    slice_position,
)
from medscale.errors import DataError
from medscale.protocols import PluginContext
from medscale_dataset_acdc.config import AcdcOptions
from medscale_dataset_acdc.patients import read_patients

SHORT_AXIS = 2
"""The array axis along which ACDC volumes are stacked, with 5 to 10 mm between slices."""

# Absent is normal: the right ventricle ends before the apex, and basal slices may hold atrium only.
_TASKS = MappingProxyType(
    {
        "rv": Task(labels=(1,), may_be_absent=True, description="right ventricular cavity"),
        "myo": Task(labels=(2,), may_be_absent=True, description="left ventricular myocardium"),
        "lv": Task(
            labels=(3,), may_be_absent=True, main=True, description="left ventricular cavity"
        ),
        "heart": Task(labels=(1, 2, 3), may_be_absent=True, description="all three together"),
    }
)


class AcdcDataset:
    """ACDC cardiac cine MRI (Bernard et al., IEEE TMI 2018, 10.1109/TMI.2018.2837502).

    Every slice of the end-diastolic and the end-systolic volume is a case; both phases belong to
    one subject.
    """

    def __init__(self, config: AcdcOptions, context: PluginContext) -> None:
        self._config = config
        self._data = context.data
        # Cases come in volume order, so the last volume serves all of its slices.
        self._volume = lru_cache(maxsize=1)(read_volume)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The three structures, and their union."""
        return _TASKS

    def cases(self) -> Sequence[Case]:
        """All slices by patient, phase (ED, then ES) and position; reads headers only.

        Raises:
            DataError: If the folder is not ACDC's or a volume is missing.
        """
        return tuple(case for case, _ in self._slices.values())

    def load(self, case: Case) -> Sample:
        """Read one slice.

        Returns:
            Image (1, X, Y) float32 as stored, labels (X, Y) uint8 (1 RV, 2 myocardium, 3 LV),
            spacing in mm.

        Raises:
            DataError: If a file is missing, truncated or of another size than its image; or if
                the case is not one of `cases()`.
        """
        if case.id not in self._slices:
            raise DataError(f"ACDC has no case {case.id}; list the cases again with these options")
        known, index = self._slices[case.id]
        image, label = known.files
        return cut_slice(self._volume(image, label), SHORT_AXIS, index)

    @cached_property
    def _slices(self) -> dict[str, tuple[Case, int]]:
        """Each case with its slice number, by id."""
        return {case.id: (case, index) for case, index in self._find_slices()}

    def _find_slices(self) -> Iterator[tuple[Case, int]]:
        phases = ("ed", "es") if self._config.phases == "both" else (self._config.phases,)
        all_of_them = self._config.slices == "all"
        for patient in read_patients(self._folder(), include_testing=self._config.include_testing):
            for phase in phases:
                image, label = patient.files(phase)
                if not label.is_file():
                    raise DataError(f"{label} is missing; copy it from the official release")
                shape = read_nifti_shape(image)
                if len(shape) != SPATIAL_AXES:
                    raise DataError(
                        f"{image} has {len(shape)} axes, expected 3 (one frame of the cine); "
                        "copy it from the official release"
                    )
                stem = image.name.removesuffix(".nii.gz")
                for index in range(shape[SHORT_AXIS]):
                    position = slice_position(index, shape[SHORT_AXIS])
                    if all_of_them or in_middle_third(position):
                        case = Case(
                            id=f"{stem}_z{index:02d}",
                            subject=patient.name,
                            group=patient.group,
                            position=position,
                            files=(image, label),
                        )
                        yield case, index

    def _folder(self) -> Path:
        if self._data is None:
            raise DataError(
                "acdc got no folder to read; pass --data DIR, or fetch it once with "
                "`medscale data fetch acdc`"
            )
        if not self._data.is_dir():
            raise DataError(f"{self._data} is no folder; pass the ACDC folder with --data DIR")
        return self._data

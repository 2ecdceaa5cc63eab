"""Any task of the Medical Segmentation Decathlon, as 2-D slices or 3-D volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from medscale.data.cases import Case, Sample, Task
from medscale.data.nifti import (
    SPATIAL_AXES,
    as_float32,
    cut_slice,
    in_middle_third,
    read_nifti_shape,
    read_volume,
    slice_position,
)
from medscale.errors import DataError
from medscale.protocols import PluginContext
from medscale_dataset_decathlon.config import DecathlonOptions
from medscale_dataset_decathlon.description import FILE_NAME, Description, read_description
from medscale_dataset_decathlon.tasks import make_tasks

_TASK_FOLDER = re.compile(r"Task\d{2,3}_\w+")


class DecathlonDataset:
    """One Decathlon task (Antonelli et al., Nature Communications 2022).

    Volumes and tasks are those that its `dataset.json` names; a volume is a subject.
    """

    def __init__(self, config: DecathlonOptions, context: PluginContext) -> None:
        self._config = config
        self._data = context.data
        # Cases come in volume order, so the last volume serves all of its slices.
        self._volume = lru_cache(maxsize=1)(read_volume)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """One task per label, and `foreground`, their union.

        Raises:
            DataError: If `dataset.json` is missing or faulty.
        """
        return make_tasks(self._description.labels, self._config.dims)

    def cases(self) -> Sequence[Case]:
        """All volumes, or all their slices, sorted; reads at most headers.

        Raises:
            DataError: If `dataset.json` is faulty or a file that it names is missing.
        """
        return tuple(case for case, _ in self._indexed.values())

    def load(self, case: Case) -> Sample:
        """Read one slice or volume.

        Returns:
            Image (C, *S) float32 as stored, labels (*S), spacing in mm.

        Raises:
            DataError: If a file is missing, truncated, of another size than its image or with
                other channels than `dataset.json` says; or if the case is not one of `cases()`.
        """
        if case.id not in self._indexed:
            raise DataError(
                f"the Decathlon task has no case {case.id}; list the cases again with these options"
            )
        known, index = self._indexed[case.id]
        image, label = known.files
        channels = self._description.channels
        if index is None:
            volume = read_volume(image, label, channels)
            return replace(volume, image=as_float32(volume.image))
        return cut_slice(self._volume(image, label, channels), self._config.axis, index)

    @cached_property
    def _description(self) -> Description:
        return read_description(self._folder())

    @cached_property
    def _indexed(self) -> dict[str, tuple[Case, int | None]]:
        """Each case with its slice number, None for a volume, by id."""
        return {case.id: (case, index) for case, index in self._find_cases()}

    def _find_cases(self) -> Iterator[tuple[Case, int | None]]:
        axis = self._config.axis
        for name, (image, label) in self._description.volumes.items():
            for path in (image, label):
                if not path.is_file():
                    raise DataError(
                        f"{path} is named in {FILE_NAME} but missing; copy it there or fetch the "
                        "data set again"
                    )
            if self._config.dims == SPATIAL_AXES:
                yield Case(id=name, subject=name, files=(image, label)), None
                continue
            shape = read_nifti_shape(image)
            if len(shape) not in (SPATIAL_AXES, SPATIAL_AXES + 1):
                raise DataError(
                    f"{image} has {len(shape)} axes, expected 3, or 4 with its channels last"
                )
            for index in range(0, shape[axis], self._config.every):
                position = slice_position(index, shape[axis])
                if self._config.slices == "mid" and not in_middle_third(position):
                    continue
                case = Case(
                    id=f"{name}_{'xyz'[axis]}{index:03d}",
                    subject=name,
                    position=position,
                    files=(image, label),
                )
                yield case, index

    def _folder(self) -> Path:
        """Return the task's folder: the one passed, or the only task in it."""
        if self._data is None:
            raise DataError(
                "decathlon got no folder to read; pass a task's folder, such as "
                "Task04_Hippocampus, with --data DIR"
            )
        if not self._data.is_dir():
            raise DataError(f"{self._data} is no folder; pass a task's folder with --data DIR")
        if (self._data / FILE_NAME).exists():
            return self._data
        tasks = sorted(
            entry.name
            for entry in self._data.iterdir()
            if _TASK_FOLDER.fullmatch(entry.name) and (entry / FILE_NAME).exists()
        )
        if len(tasks) > 1:
            raise DataError(
                f"{self._data} holds {len(tasks)} tasks ({', '.join(tasks)}), expected one; "
                "pass the folder of one of them with --data DIR"
            )
        if not tasks:
            raise DataError(
                f"{self._data} holds no {FILE_NAME}; pass a Decathlon task's folder, such as "
                "Task04_Hippocampus, with --data DIR"
            )
        return self._data / tasks[0]

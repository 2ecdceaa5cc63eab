"""A good data set, and one bad one for each promise that a data set can break."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.contracts.breaking import breaks, good

from medscale.config import Options
from medscale.data.cases import Array, Case, Sample, Task
from medscale.errors import DataError
from medscale.protocols import PluginContext
from medscale.testing import DatasetTests


class FolderTests(DatasetTests):
    """Writes three small images and a table to the data folder."""

    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        for row in range(3):
            image = np.random.Generator(np.random.PCG64(row)).random((12, 10))
            np.savez(folder / f"p{row}.npz", image=image, label=(image > 0.5) * 1)
        (folder / "ages.txt").write_text("p0 50\np1 60\np2 70\n", encoding="utf-8")
        return folder


@good(FolderTests)
class Folder:
    """Reads image and label from .npz files."""

    tasks: ClassVar[Mapping[str, Task]] = {"bright": Task(labels=(1,))}

    def __init__(self, config: Options, context: PluginContext) -> None:
        assert context.data is not None
        self.folder = context.data

    def cases(self) -> Sequence[Case]:
        paths = sorted(self.folder.glob("*.npz"))
        if not paths:
            raise DataError(f"no .npz files in {self.folder}")
        return [Case(id=p.stem, subject=p.stem, files=(p, self.table)) for p in paths]

    @property
    def table(self) -> Path:
        return self.folder / "ages.txt"

    def load(self, case: Case) -> Sample:
        try:
            self.table.read_text(encoding="utf-8")
            return self.read(case.files[0])
        except OSError as error:
            raise DataError(f"cannot read {error.filename or case.files[0]}: {error}") from None
        except Exception as error:  # noqa: BLE001
            raise DataError(f"cannot read {case.files[0]}: {error}") from None

    def read(self, path: Path) -> Sample:
        with np.load(path) as arrays:
            return Sample(image=arrays["image"][None], label=arrays["label"], spacing=(1.0, 2.0))


@good(DatasetTests)
class Toy:
    """Draws images of two structures, and needs no folder."""

    tasks: ClassVar[Any] = {
        "left": Task(labels=(1,)),
        "right": Task(labels=(2,), may_be_absent=True),
    }

    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def cases(self) -> Sequence[Case]:
        return [Case(id=f"p{i}-s1", subject=f"p{i}", position=i / 3) for i in range(4)]

    def load(self, case: Case) -> Sample:
        seed = int(case.id[1])
        image = np.random.Generator(np.random.PCG64(seed)).random((2, 12, 10))
        label = np.zeros((12, 10), np.uint8)
        label[:, :4] = 1
        label[:, 6 + 2 * seed :] = 2
        return Sample(image=image, label=label, spacing=(1.5, 1.5))


@good(DatasetTests)
class Masks(Toy):
    """Overlapping masks of a volume."""

    tasks: ClassVar[Any] = {"left": Task(labels=(0,)), "all": Task(labels=(0, 1))}

    def load(self, case: Case) -> Sample:
        image = np.random.Generator(np.random.PCG64(int(case.id[1]))).random((1, 6, 5, 4))
        return Sample(
            image=image, label=np.stack([image[0] > 0.7, image[0] > 0.5]), spacing=(1,) * 3
        )


@breaks(DatasetTests, "test_fulfils_its_protocol")
class NoTasks(Toy):
    @property
    def tasks(self) -> Any:
        raise AttributeError


@breaks(DatasetTests, "test_tasks_are_named_and_have_labels")
class CapitalTask(Toy):
    tasks: ClassVar[Any] = {"LV": Task(labels=(1, 2))}


@breaks(DatasetTests, "test_tasks_are_named_and_have_labels")
class TaskWithoutLabels(Toy):
    tasks: ClassVar[Any] = {"lv": Task(labels=())}


@breaks(DatasetTests, "test_tasks_are_named_and_have_labels")
class TwoMainTasks(Toy):
    tasks: ClassVar[Any] = {
        "left": Task(labels=(1,), main=True),
        "right": Task(labels=(2,), main=True, may_be_absent=True),
    }


@breaks(DatasetTests, "test_cases_are_stable")
class OtherOrder(Toy):
    turns = itertools.count()

    def cases(self) -> Sequence[Case]:
        return list(super().cases())[:: 1 if next(self.turns) % 2 else -1]


class Edited(Toy):
    """Changes something about each case."""

    changes: ClassVar[Mapping[str, Any]] = {}

    def cases(self) -> Sequence[Case]:
        return [replace(case, **self.changes) for case in super().cases()]


@breaks(DatasetTests, "test_case_ids_are_unique_and_safe")
class OneId(Edited):
    changes: ClassVar[Mapping[str, Any]] = {"id": "p0"}


@breaks(DatasetTests, "test_case_ids_are_unique_and_safe")
class PathIds(Toy):
    def cases(self) -> Sequence[Case]:
        return [replace(case, id=f"{case.subject}/frame1") for case in super().cases()]


@breaks(DatasetTests, "test_subjects_are_known")
class NoSubjects(Edited):
    changes: ClassVar[Mapping[str, Any]] = {"subject": " "}


@breaks(DatasetTests, "test_positions_are_fractions")
class SliceNumbers(Edited):
    changes: ClassVar[Mapping[str, Any]] = {"position": 7}


@breaks(DatasetTests, "test_files_exist")
class FilesElsewhere(Edited):
    changes: ClassVar[Mapping[str, Any]] = {"files": (Path("where it was on my machine.nii"),)}


@breaks(DatasetTests, "test_listing_does_not_depend_on_loading")
class LearnsWhileLoading(Toy):
    group = ""

    def cases(self) -> Sequence[Case]:
        return [replace(case, group=self.group) for case in super().cases()]

    def load(self, case: Case) -> Sample:
        sample = super().load(case)
        self.group = "bright" if sample.image.mean() > 0.1 else "dark"
        return sample


class EditedSample(Toy):
    """Changes something about each sample."""

    def image(self, image: Array) -> Array:
        return image

    def label(self, label: Array) -> Array:
        return label

    def load(self, case: Case) -> Sample:
        sample = super().load(case)
        return replace(sample, image=self.image(sample.image), label=self.label(sample.label))


@breaks(DatasetTests, "test_images_are_usable")
class NoChannel(EditedSample):
    def image(self, image: Array) -> Array:
        return np.asarray(image[0])


@breaks(DatasetTests, "test_images_are_usable")
class NotFinite(EditedSample):
    def image(self, image: Array) -> Array:
        return np.where(image > 0.9, np.nan, image)


@breaks(DatasetTests, "test_images_are_usable")
class Constant(EditedSample):
    def image(self, image: Array) -> Array:
        return np.ones_like(image)


@breaks(DatasetTests, "test_labels_fit_the_images")
class TransposedLabels(EditedSample):
    def label(self, label: Array) -> Array:
        return label.T


@breaks(DatasetTests, "test_labels_fit_the_images")
class FloatLabels(EditedSample):
    def label(self, label: Array) -> Array:
        return label.astype(float)


@breaks(DatasetTests, "test_labels_belong_to_tasks")
class InterpolatedLabels(EditedSample):
    def label(self, label: Array) -> Array:
        return np.where(label > 0, label + 3, label)


@breaks(DatasetTests, "test_labels_belong_to_tasks")
class NamesBackground(Toy):
    tasks: ClassVar[Any] = {"all": Task(labels=(0, 1, 2))}


@breaks(DatasetTests, "test_foreground_is_there_where_promised")
class PromisesTooMuch(Toy):
    tasks: ClassVar[Any] = {"left": Task(labels=(1,)), "right": Task(labels=(2,))}


@breaks(DatasetTests, "test_spacing_is_positive")
class NegativeSpacing(Toy):
    def load(self, case: Case) -> Sample:
        return replace(super().load(case), spacing=(-1.5, 1.5))


@breaks(DatasetTests, "test_spacing_is_positive")
class SpacingOfAVolume(Toy):
    def load(self, case: Case) -> Sample:
        return replace(super().load(case), spacing=(1.5, 1.5, 10.0))


@breaks(DatasetTests, "test_cases_are_of_one_form")
class OddChannels(Toy):
    def load(self, case: Case) -> Sample:
        sample = super().load(case)
        return sample if case.id == "p0-s1" else replace(sample, image=sample.image[:1])


@breaks(DatasetTests, "test_loading_is_repeatable")
class AddsNoise(Toy):
    noise = np.random.Generator(np.random.PCG64(0))

    def load(self, case: Case) -> Sample:
        sample = super().load(case)
        return replace(sample, image=sample.image + self.noise.random())


@breaks(DatasetTests, "test_load_order_does_not_matter")
class ScalesByTheFirst(Toy):
    scale: float | None = None

    def load(self, case: Case) -> Sample:
        sample = super().load(case)
        self.scale = self.scale or float(sample.image.max())
        return replace(sample, image=sample.image / self.scale)


@breaks(DatasetTests, "test_samples_share_no_memory")
class KeepsSamples(Toy):
    def __init__(self, config: Options, context: PluginContext) -> None:
        self.kept: dict[str, Sample] = {}

    def load(self, case: Case) -> Sample:
        return self.kept.setdefault(case.id, super().load(case))


@breaks(DatasetTests, "test_global_randomness_is_left_alone")
class SeedsNumpy(Toy):
    def load(self, case: Case) -> Sample:
        np.random.seed(0)  # noqa: NPY002
        return super().load(case)


@breaks(FolderTests, "test_empty_folder_is_one_sentence")
class EmptyList(Folder):
    def cases(self) -> Sequence[Case]:
        every = sorted(self.folder.glob("*.npz"))
        return [Case(id=path.stem, subject=path.stem, files=(path,)) for path in every]


@breaks(FolderTests, "test_missing_file_is_named", "test_truncated_file_is_named")
class LetsErrorsThrough(Folder):
    def load(self, case: Case) -> Sample:
        return self.read(case.files[0])


@breaks(FolderTests, "test_missing_file_is_named", "test_truncated_file_is_named")
class NamesNoFile(Folder):
    def load(self, case: Case) -> Sample:
        try:
            return super().load(case)
        except DataError:
            raise DataError("cannot read the image") from None


@breaks(FolderTests, "test_truncated_file_is_named")
class ReadsZeros(Folder):
    def read(self, path: Path) -> Sample:
        path.stat()
        try:
            return super().read(path)
        except Exception:  # noqa: BLE001
            return Sample(image=np.zeros((1, 2, 2)), label=np.zeros((2, 2), int), spacing=(1, 1))

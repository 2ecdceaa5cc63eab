"""The contract of data sets, as tests."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from medscale import discovery
from medscale.config import Options
from medscale.data.cases import Case, Sample, Task
from medscale.errors import DataError, MedscaleError
from medscale.protocols import Dataset, PluginContext
from medscale.spec import NAME
from medscale.testing.base import PluginTests
from medscale.testing.state import global_state_untouched, same_bytes

_UNSAFE = frozenset('/\\:*?"<>|')

Make = Callable[[], Dataset]


class DatasetTests(PluginTests):
    """Subclass with `spec`; a set that reads files also overrides the fixture `data`.

    Let `data` write a small set in the official layout to `tmp_path`: a few subjects, a few
    slices, images of about 16 pixels. Nobody has to own the real data to run these tests.

    Attributes:
        samples: How many cases are read, evenly spaced over all of them.
    """

    kind: ClassVar[str] = "dataset"
    samples: ClassVar[int] = 6

    @pytest.fixture
    def cases(self, plugin: Dataset) -> list[Case]:
        """The cases that are read."""
        every = list(plugin.cases())
        assert every, "the data set has no case"
        count = min(self.samples, len(every))
        return [every[i * (len(every) - 1) // max(1, count - 1)] for i in range(count)]

    @pytest.fixture
    def loaded(self, plugin: Dataset, cases: list[Case]) -> list[tuple[Case, Sample]]:
        """Those cases with their pixels."""
        return [(case, plugin.load(case)) for case in cases]

    def test_tasks_are_named_and_have_labels(self, plugin: Dataset) -> None:
        """There is a task; each has a valid name and a tuple of labels that are not negative.

        At most one is the main one, which a study is about that names none.

        The name is what a user types after `--task`, and labels are compared with pixels.

        How to fix: return `{"lv": Task(labels=(3,))}`: names of lower-case letters, digits and
        underscores, labels as a non-empty tuple of int.
        """
        assert plugin.tasks, "no tasks"
        for name, task in plugin.tasks.items():
            assert NAME.fullmatch(name), f"task {name!r} is not [a-z][a-z0-9_]*"
            assert isinstance(task, Task), f"task {name} is a {type(task).__name__}"
            assert isinstance(task.labels, tuple), f"labels of {name} are no tuple"
            assert task.labels, f"task {name} has no labels"
            assert all(type(label) is int and label >= 0 for label in task.labels), (
                f"labels of {name} are {task.labels}"
            )
        main = [name for name, task in plugin.tasks.items() if task.main]
        assert len(main) <= 1, f"several tasks are the main one: {main}"

    def test_cases_are_stable(self, make: Make) -> None:
        """Listing twice, by one instance or by two, gives the same cases in the same order.

        Splits and subsets are drawn from positions in this list.

        How to fix: sort whatever comes from a folder, a set or a dictionary of unknown order.
        """
        first = make()
        listed = list(first.cases())
        assert list(first.cases()) == listed, "the same instance lists other cases the second time"
        assert list(make().cases()) == listed, "another instance lists other cases"

    def test_case_ids_are_unique_and_safe(self, plugin: Dataset) -> None:
        """Ids are distinct and may serve as file names on any system.

        Results, previews and stores are keyed by id.

        How to fix: build the id from subject, frame and slice, without path separators, control
        characters or any of `: * ? " < > |`.
        """
        ids = [case.id for case in plugin.cases()]
        twice = {name for name in ids if ids.count(name) > 1}
        assert not twice, f"ids given twice: {sorted(twice)[:5]}"
        unsafe = [name for name in ids if not _is_safe(name)]
        assert not unsafe, f"unsafe ids: {unsafe[:5]}"

    def test_subjects_are_known(self, plugin: Dataset) -> None:
        """Every case names its subject.

        Splits go by subject; without it, slices of one person would lie on both sides.

        How to fix: set `subject` to the person's id, or to the case id where each case is
        another person.
        """
        nameless = [case.id for case in plugin.cases() if not case.subject.strip()]
        assert not nameless, f"cases without a subject: {nameless[:5]}"

    def test_positions_are_fractions(self, plugin: Dataset) -> None:
        """A slice's position lies in [0, 1]; whatever is no slice has None.

        Registration pairs slices by position.

        How to fix: divide the slice index by the number of slices minus one.
        """
        wrong = [
            case.id
            for case in plugin.cases()
            if case.position is not None and not 0 <= case.position <= 1
        ]
        assert not wrong, f"positions outside [0, 1]: {wrong[:5]}"

    def test_files_exist(self, plugin: Dataset) -> None:
        """Each file that a case names is there.

        Files are watched for changes, so that a cached cohort is never older than its data.

        How to fix: list in `files` exactly what `load` reads, as paths that can be opened.
        """
        missing = [path for case in plugin.cases() for path in case.files if not path.is_file()]
        assert not missing, f"not files: {[str(path) for path in missing[:5]]}"

    def test_listing_does_not_depend_on_loading(self, plugin: Dataset) -> None:
        """`cases()` says the same before and after pixels are read.

        It is called to plan a study, when nothing has been read and nothing has to be.

        How to fix: take ids, subjects and positions from names and headers, not from pixels.
        """
        before = list(plugin.cases())
        plugin.load(before[-1])
        assert list(plugin.cases()) == before

    def test_images_are_usable(self, loaded: list[tuple[Case, Sample]]) -> None:
        """An image is (C, *S) with 2 or 3 spatial axes, real, finite and not constant.

        A constant or infinite image cannot be scaled to [0, 1].

        How to fix: add the channel axis, drop empty slices from `cases()`, replace NaN.
        """
        for case, sample in loaded:
            image = sample.image
            assert image.ndim in (3, 4), f"{case.id}: image has shape {image.shape}"
            assert image.dtype.kind in "iuf", f"{case.id}: image has type {image.dtype}"
            assert np.isfinite(image).all(), f"{case.id}: the image has infinities or NaN"
            assert image.min() < image.max(), f"{case.id}: the image is constant"

    def test_labels_fit_the_images(self, loaded: list[tuple[Case, Sample]]) -> None:
        """A label is (*S) integers or (K, *S) booleans, S being the image's shape.

        How to fix: give label and image the same orientation and crop; cast integers stored as
        floats with `np.rint(label).astype(np.uint8)`.
        """
        for case, sample in loaded:
            shape, label = sample.spatial_shape, sample.label
            kind = label.dtype.kind
            if label.shape == shape:
                assert kind in "iu", f"{case.id}: a label of type {label.dtype}, expected integers"
            else:
                assert label.shape[1:] == shape, (
                    f"{case.id}: label {label.shape} does not fit an image of {shape}"
                )
                assert kind == "b", f"{case.id}: masks of type {label.dtype}, expected bool"

    def test_labels_belong_to_tasks(
        self, plugin: Dataset, loaded: list[tuple[Case, Sample]]
    ) -> None:
        """Every label value, or mask, is named by a task, and background by none.

        A value that nobody names is usually a structure that was forgotten, or a label image that
        was resampled with interpolation.

        How to fix: name each value in a task; integer labels keep 0 for the background.
        """
        named = {label for task in plugin.tasks.values() for label in task.labels}
        for case, sample in loaded:
            if sample.label.dtype.kind == "b":
                assert named == set(range(len(sample.label))), (
                    f"{case.id} has {len(sample.label)} masks, the tasks name {sorted(named)}"
                )
            else:
                assert 0 not in named, "a task names 0, which is background"
                found = set(np.unique(sample.label).tolist()) - {0}
                assert found <= named, f"{case.id} has {sorted(found - named)}, which no task names"

    def test_foreground_is_there_where_promised(
        self, plugin: Dataset, loaded: list[tuple[Case, Sample]]
    ) -> None:
        """A task that is not marked `may_be_absent` has foreground in every case.

        Core takes an empty case of such a task for an error in the data and stops.

        How to fix: set `may_be_absent=True` for structures that some cases lack by nature.
        """
        for name, task in plugin.tasks.items():
            if task.may_be_absent:
                continue
            for case, sample in loaded:
                masks = sample.label.dtype.kind == "b"
                labels = list(task.labels)
                there = sample.label[labels] if masks else np.isin(sample.label, labels)
                assert there.any(), f"{case.id} has no foreground for task {name}"

    def test_spacing_is_positive(self, loaded: list[tuple[Case, Sample]]) -> None:
        """Spacing has one positive number for each spatial axis, in mm.

        HD95 and NSD are measured with it.

        How to fix: take it from the header in the order of the array's axes; ones where unknown.
        """
        for case, sample in loaded:
            assert len(sample.spacing) == len(sample.spatial_shape), f"{case.id}: {sample.spacing}"
            assert all(math.isfinite(size) and size > 0 for size in sample.spacing), (
                f"{case.id}: spacing {sample.spacing}"
            )

    def test_cases_are_of_one_form(self, loaded: list[tuple[Case, Sample]]) -> None:
        """All cases have as many channels, axes and masks as the first.

        One network reads them all; only the lengths of the axes may differ.

        How to fix: convert odd cases (RGB among grey, single slices among volumes) or leave
        them out of `cases()`.
        """
        forms = {case.id: _form(sample) for case, sample in loaded}
        first = next(iter(forms.values()))
        odd = {name: form for name, form in forms.items() if form != first}
        assert not odd, f"(channels, axes, label type, masks) is {first}, but {odd}"

    def test_loading_is_repeatable(self, make: Make, cases: list[Case]) -> None:
        """Loading a case twice, by one instance or by two, gives the same bytes.

        Prepared cohorts are named by their content.

        How to fix: draw nothing while loading; derive whatever is synthetic from the case id.
        """
        plugin = make()
        for case in cases:
            first = plugin.load(case)
            assert _same(first, plugin.load(case)), f"{case.id} differs when loaded again"
            assert _same(first, make().load(case)), f"{case.id} differs in another instance"

    def test_load_order_does_not_matter(self, make: Make, cases: list[Case]) -> None:
        """Cases loaded in reverse order are the same.

        Cohorts may be prepared in any order and in several processes.

        How to fix: keep nothing from one `load` that changes the next.
        """
        one, other = make(), make()
        forward = {case.id: one.load(case) for case in cases}
        backward = {case.id: other.load(case) for case in reversed(cases)}
        for name, sample in forward.items():
            assert _same(sample, backward[name]), f"{name} depends on what was loaded before it"

    def test_samples_share_no_memory(self, plugin: Dataset, cases: list[Case]) -> None:
        """Changing a sample's arrays does not change what is loaded next.

        Core rescales images in place.

        How to fix: return a copy of whatever is kept.
        """
        sample = plugin.load(cases[0])
        kept = Sample(image=sample.image.copy(), label=sample.label.copy(), spacing=sample.spacing)
        for array in (sample.image, sample.label):
            if array.flags.writeable:
                array[...] = 1
        assert _same(plugin.load(cases[0]), kept), "the next load shows the change"

    def test_global_randomness_is_left_alone(self, make: Make) -> None:
        """Listing and loading use no global generator and change no global setting.

        Whatever they drew would shift the numbers that training draws.

        How to fix: use `medscale.seeding.numpy_generator` with a fixed seed and the case id.
        """
        with global_state_untouched():
            plugin = make()
            cases = list(plugin.cases())
            plugin.load(cases[0])
            plugin.load(cases[-1])

    def test_empty_folder_is_one_sentence(
        self, data: Path | None, config: Options, context: PluginContext, tmp_path: Path
    ) -> None:
        """A folder without the data raises a MedscaleError, when constructed or listed.

        A wrong `--data` is the commonest mistake of all and deserves better than a traceback or
        an empty list.

        How to fix: raise DataError with what was looked for and where.
        """
        if data is None:
            pytest.skip("capability absent: the data set reads no folder")
        empty = tmp_path / "nothing here"
        empty.mkdir()
        make = discovery.find_object(self.spec.target)
        with pytest.raises(MedscaleError):
            make(config, dataclasses.replace(context, data=empty)).cases()

    def test_missing_file_is_named(
        self, data: Path | None, config: Options, context: PluginContext, tmp_path: Path
    ) -> None:
        """A file that is gone raises DataError with its name.

        How to fix: catch OSError around the reader and raise DataError(f"… {path} …").
        """
        plugin, case = self._copy(data, config, context, tmp_path)
        for path in case.files:
            path.rename(path.with_name("moved away"))
            with pytest.raises(DataError) as caught:
                plugin.load(case)
            assert path.name in str(caught.value), f"the message does not name {path.name}"
            path.with_name("moved away").rename(path)

    def test_truncated_file_is_named(
        self, data: Path | None, config: Options, context: PluginContext, tmp_path: Path
    ) -> None:
        """A file cut in half raises DataError with its name, and nothing else.

        Interrupted downloads and full disks leave such files; read as zeros, they would be
        trained on.

        How to fix: catch what the reader raises (OSError, EOFError, ValueError, zlib.error) and
        raise DataError with the path; compare the size with the header where the reader does not.
        """
        plugin, case = self._copy(data, config, context, tmp_path)
        noticed = []
        for path in case.files:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            try:
                plugin.load(case)
            except DataError as error:
                noticed.append((path.name, str(error)))
            finally:
                path.write_bytes(whole)
        # Half of a table of ages may still be a table, but half an image is no image.
        assert noticed, f"cut in half, none of {[path.name for path in case.files]} is noticed"
        silent = [name for name, message in noticed if name not in message]
        assert not silent, f"the message does not name {silent}"

    def _copy(
        self, data: Path | None, config: Options, context: PluginContext, tmp_path: Path
    ) -> tuple[Dataset, Case]:
        """Return the data set on a copy of its folder, and a case with files of that copy."""
        if data is None:
            pytest.skip("capability absent: the data set reads no folder")
        copy = tmp_path / "copy"
        shutil.copytree(data, copy)
        context = dataclasses.replace(context, data=copy)
        plugin: Dataset = discovery.find_object(self.spec.target)(config, context)
        for case in plugin.cases():
            if case.files and all(path.is_relative_to(copy) for path in case.files):
                return plugin, case
        pytest.fail("no case lists files of its data folder: name what `load` reads in Case.files")


def _is_safe(name: str) -> bool:
    return (
        0 < len(name) <= 200
        and name == name.strip(" .")
        and name.isprintable()
        and not _UNSAFE & set(name)
    )


def _form(sample: Sample) -> tuple[Any, ...]:
    masks = sample.label.dtype.kind == "b"
    kind = "masks" if masks else "integers"
    return len(sample.image), sample.image.ndim - 1, kind, len(sample.label) if masks else None


def _same(first: Sample, second: Sample) -> bool:
    return (
        same_bytes(first.image, second.image)
        and same_bytes(first.label, second.label)
        and tuple(first.spacing) == tuple(second.spacing)
    )

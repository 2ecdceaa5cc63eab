"""Preparing refuses what would poison a study, and reads every case once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medscale.data.cases import Array, Case, Sample, Task
from medscale.data.cohort import Cohort
from medscale.data.draft import Draft
from medscale.data.options import PrepareOptions
from medscale.data.prepare import prepare, prepared_cohort, scale
from medscale.errors import ConfigError, DataError, PluginError

_FILE = Path("scans/broken.nii.gz")
_SIXTEEN = PrepareOptions(shape=(16,))


def _sample(
    seed: int = 0, *, shape: tuple[int, ...] = (12, 20), channels: int = 1, **changes: Any
) -> Sample:
    label = np.zeros(shape, np.int16)
    label[tuple(slice(n // 4, n // 2) for n in shape)] = 1
    image = np.random.default_rng(seed).normal(100, 20, (channels, *shape))
    sample = Sample(image=image, label=label, spacing=(1.0,) * len(shape))
    return replace(sample, **changes)


class _Toys:
    """A data set of given samples that counts how often it is read."""

    def __init__(self, samples: Sequence[Sample], *, cases: Sequence[Case] | None = None) -> None:
        self.loads = 0
        self.tasks = {"blob": Task(labels=(1,))}
        self._cases = cases or [
            Case(id=f"case{row}", subject=f"p{row}", files=(_FILE,)) for row in range(len(samples))
        ]
        self.samples = dict(zip([case.id for case in self._cases], samples, strict=False))

    def cases(self) -> Sequence[Case]:
        return self._cases

    def load(self, case: Case) -> Sample:
        self.loads += 1
        return self.samples[case.id]


def _prepare(toys: _Toys, options: PrepareOptions = _SIXTEEN) -> Cohort:
    with tempfile.TemporaryDirectory() as folder:
        draft = Draft(Path(folder) / "draft")
        return prepare(toys, toys.cases(), options, lambda done, total: None, draft)


def _with(array: Array, value: float) -> Array:
    changed = array.copy()
    changed.flat[0] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": _with(_sample().image, np.nan)}, "NaN or infinite"),
        ({"image": _with(_sample().image, np.inf)}, "NaN or infinite"),
        ({"image": np.full((1, 12, 20), 7.0)}, "constant"),
        ({"image": np.stack([_sample().image[0], np.zeros((12, 20))])}, "constant"),
        ({"image": _sample().image[0]}, "expected real numbers with a channel axis"),
        ({"image": _sample().image.astype(complex)}, "array of complex128"),
        ({"label": np.ones((12, 19), np.int16)}, r"label has shape \(12, 19\), the image \(12, 20"),
        ({"label": np.ones((20, 12), np.int16)}, r"label has shape \(20, 12\)"),
        ({"label": np.ones((1, 1, 12, 20), np.int16)}, "have to be of the same size"),
        ({"label": _with(_sample().label, 5)}, "unknown value 5, expected 0 and"),
        ({"label": _with(_sample().label, -1)}, "unknown value -1"),
        ({"label": _sample().label.astype(float)}, "label holds float64"),
        ({"spacing": (1.0,)}, "voxel spacing"),
        ({"spacing": None}, "voxel spacing is None, expected 2 sizes in mm"),
        ({"spacing": ("1", "1")}, "voxel spacing"),
        ({"spacing": (1.0, 0.0)}, "voxel spacing"),
        ({"spacing": (1.0, -2.0)}, "voxel spacing"),
        ({"spacing": (1.0, float("nan"))}, "voxel spacing"),
        ({"label": np.ones((1, 12, 20), bool)}, "there are 1 masks, but a task names mask 1"),
    ],
)
def test_a_bad_case_is_named_with_its_file(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _prepare(_Toys([_sample(), _sample(1, **changes)]))
    assert f"case case1 ({_FILE})" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (_sample(channels=2), "has 2 channels and 2 dimensions"),
        (_sample(shape=(12, 20, 8)), "has 1 channels and 3 dimensions"),
        (_sample(label=np.ones((2, 12, 20), bool)), "another number of masks"),
    ],
)
def test_a_study_needs_one_kind_of_image(sample: Sample, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _prepare(_Toys([_sample(), sample]))
    assert f"case case1 ({_FILE})" in str(caught.value)
    assert "case case0" in str(caught.value)


@pytest.mark.parametrize("value", [257, -1])
def test_label_values_that_would_wrap_around_are_refused(value: int) -> None:
    # 257 would become 1 in the cohort's bytes, and so another structure.
    toys = _Toys([_sample(label=value * _sample().label.astype(np.int32))])
    toys.tasks = {"blob": Task(labels=(1,)), "other": Task(labels=(value,))}
    message = f"case case0 .* label value {value}, expected values from 0 to 255; renumber"
    with pytest.raises(DataError, match=message):
        _prepare(toys)


def test_the_shape_has_to_fit_the_images() -> None:
    with pytest.raises(ConfigError, match=r"--shape: .* has 3 axes, the images 2 .*case0"):
        _prepare(_Toys([_sample()]), PrepareOptions(shape=(16, 16, 16)))


def _cached(
    toys: _Toys,
    cache: Path,
    *,
    options: PrepareOptions = _SIXTEEN,
    identity: dict[str, Any] | None = None,
) -> tuple[Cohort, Path]:
    return prepared_cohort(
        toys,
        identity=identity or {"name": "toys", "behavior": 1, "options": {}},
        options=options,
        cache=cache,
        progress=lambda done, total: None,
    )


def test_a_data_set_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no cases; check --data"):
        _cached(_Toys([]), tmp_path)


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    cases = [Case(id="twin", subject="a"), Case(id="twin", subject="b")]
    toys = _Toys([_sample(), _sample(1)], cases=cases)
    with pytest.raises(DataError, match="two cases of the data set are called 'twin'"):
        _cached(toys, tmp_path)
    assert toys.loads == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 7}, "case 7 has the id 7, expected a string"),
        ({"subject": 7}, "case 'a' has the subject 7, expected a string"),
        ({"files": ("scan.png",)}, "AttributeError"),
    ],
)
def test_the_names_of_cases_are_strings(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    toys = _Toys([_sample()], cases=[replace(Case(id="a", subject="a"), **changes)])
    with pytest.raises(PluginError, match=message) as caught:
        _cached(toys, tmp_path)
    assert "the data set failed in cases() with " in str(caught.value)
    assert toys.loads == 0


@pytest.mark.parametrize("loaded", [None, (_sample().image, _sample().label)])
def test_what_is_no_sample_is_refused(tmp_path: Path, loaded: Any) -> None:
    toys = _Toys([loaded], cases=[Case(id="case0", subject="p0")])
    message = (
        r"failed in load\(case 'case0'\) with TypeError: it returned a (NoneType|tuple), expec"
    )
    with pytest.raises(PluginError, match=message):
        _cached(toys, tmp_path)


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), OSError(28, "full")])
def test_what_is_not_the_plugin_s_fault_passes(tmp_path: Path, error: BaseException) -> None:
    class Interrupted(_Toys):
        def load(self, case: Case) -> Sample:
            raise error

    with pytest.raises(type(error)) as caught:
        _cached(Interrupted([], cases=[Case(id="a", subject="p")]), tmp_path)
    assert caught.value is error


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    toys = _Toys([_sample()], cases=[Case(id="a", subject="a", files=(missing,))])
    with pytest.raises(DataError, match=r"cannot read .*missing\.png of case a: No such file"):
        _cached(toys, tmp_path)


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    st.sampled_from(["minmax", "percentile"]),
)
def test_intensities_come_to_lie_between_0_and_1(image: Array, intensity: str) -> None:
    scaled = scale(image, intensity)
    assert scaled.dtype == np.float32
    assert scaled.shape == image.shape
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    for channel, before in zip(scaled, image, strict=True):
        order = np.argsort(before, axis=None)
        assert (np.diff(channel.flat[order]) >= 0).all()


def test_each_channel_is_scaled_by_itself() -> None:
    image = np.stack([np.linspace(-5, 5, 100), np.linspace(0, 4000, 100)]).reshape(2, 10, 10)
    scaled = scale(image.astype(np.float32), "minmax")
    np.testing.assert_allclose(scaled[0], scaled[1], atol=1e-6)
    np.testing.assert_allclose(scaled.reshape(2, -1)[:, [0, -1]], [[0, 1], [0, 1]])


def test_one_hot_pixel_does_not_darken_a_percentile_image() -> None:
    image = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(1, 100, 100)
    image[0, 50, 50] = 1000
    assert scale(image, "minmax")[0, 99, 98] < 0.01
    assert scale(image, "percentile")[0, 99, 98] > 0.99


def test_a_nearly_constant_image_falls_back_to_its_range() -> None:
    image = np.zeros((1, 100, 100), np.float32)
    image[0, 0, 0] = 50
    np.testing.assert_array_equal(scale(image, "percentile"), image / 50)


def test_a_prepared_case_has_the_study_s_shape() -> None:
    cohort = _prepare(_Toys([_sample(spacing=(2.0, 1.0))]))
    assert cohort.images.shape == (1, 1, 16, 16)
    assert cohort.labels.shape == (1, 16, 16)
    # The field of view stays: 12 × 2 mm over 16 pixels, and 20 × 1 mm.
    np.testing.assert_allclose(cohort.spacing, [[1.5, 1.25]])
    np.testing.assert_array_equal(cohort.labels[0, 4:8, 4:8], 1)
    assert cohort.labels.sum() == 16
    assert cohort.images.min() >= 0
    assert cohort.images.max() <= 1


@pytest.mark.parametrize(
    ("shape", "dims", "resolved"),
    [
        (None, 2, (128, 128)),
        (None, 3, (48, 48, 48)),
        ("96", 2, (96, 96)),
        (64, 3, (64, 64, 64)),
        ("32,48", 2, (32, 48)),
        ("32x48x40", 3, (32, 48, 40)),
    ],
)
def test_a_shape_is_written_in_many_ways(
    shape: object, dims: int, resolved: tuple[int, ...]
) -> None:
    assert PrepareOptions.model_validate({"shape": shape}).resolved_shape(dims) == resolved


def test_volumes_are_prepared_too() -> None:
    cohort = _prepare(_Toys([_sample(shape=(12, 20, 10))]))
    assert cohort.images.shape == (1, 1, 16, 16, 16)
    assert cohort.spacing.shape == (1, 3)


def test_masks_stay_apart() -> None:
    masks = np.zeros((3, 12, 20), bool)
    masks[1, 3:9, 5:15] = True
    masks[2, 6:12] = True
    cohort = _prepare(_Toys([_sample(label=masks)]))
    assert cohort.labels.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(cohort.labels[0, 1, 4:12, 4:12], 1)
    np.testing.assert_array_equal(cohort.labels[0, 2, 8:], 1)
    assert cohort.labels[0, 0].sum() == 0


def test_equal_pixels_have_equal_keys() -> None:
    cohort = _prepare(_Toys([_sample(0), _sample(1), _sample(0)]))
    assert cohort.image_keys[0] == cohort.image_keys[2] != cohort.image_keys[1]
    assert cohort.duplicates() == (("case0", "case2"),)


def test_progress_counts_cases(tmp_path: Path) -> None:
    toys = _Toys([_sample(0), _sample(1), _sample(2)])
    seen: list[tuple[int, int]] = []
    draft = Draft(tmp_path / "draft")
    prepare(toys, toys.cases(), _SIXTEEN, lambda *counts: seen.append(counts), draft)
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.fixture
def on_disk(tmp_path: Path) -> _Toys:
    cases = []
    for row in range(3):
        path = tmp_path / f"scan{row}.bin"
        path.write_bytes(b"pixels")
        cases.append(Case(id=f"case{row}", subject=f"p{row}", files=(path,)))
    return _Toys([_sample(row) for row in range(3)], cases=cases)


def test_the_second_time_nothing_is_loaded(on_disk: _Toys, tmp_path: Path) -> None:
    first, folder = _cached(on_disk, tmp_path / "cache")
    assert on_disk.loads == 3
    second, same = _cached(on_disk, tmp_path / "cache")
    assert on_disk.loads == 3
    assert same == folder
    assert second.content == first.content


@pytest.mark.parametrize("change", ["time", "size"])
def test_a_changed_file_is_read_again(on_disk: _Toys, tmp_path: Path, change: str) -> None:
    first, folder = _cached(on_disk, tmp_path / "cache")
    path = tmp_path / "scan1.bin"
    status = path.stat()
    if change == "size":
        path.write_bytes(b"more pixels")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    second, other = _cached(on_disk, tmp_path / "cache")
    assert on_disk.loads == 6
    assert other != folder
    # The pixels are what they were, and so is everything that is named after them.
    assert second.content == first.content


@pytest.mark.parametrize(
    "change",
    [
        {"options": PrepareOptions(shape=(24,))},
        {"options": PrepareOptions(shape=(16,), intensity="minmax")},
        {"identity": {"name": "toys", "behavior": 2, "options": {}}},
        {"identity": {"name": "toys", "behavior": 1, "options": {"frame": "es"}}},
    ],
)
def test_other_options_are_another_cohort(
    on_disk: _Toys, tmp_path: Path, change: dict[str, Any]
) -> None:
    folders = {_cached(on_disk, tmp_path / "cache")[1]}
    folders.add(_cached(on_disk, tmp_path / "cache", **change)[1])
    assert len(folders) == 2
    assert on_disk.loads == 6


def test_a_preparation_that_is_stopped_goes_on(on_disk: _Toys, tmp_path: Path) -> None:
    whole, _ = _cached(on_disk, tmp_path / "whole")
    on_disk.loads = 0
    stop: dict[str, Sample] = {"case2": on_disk.samples.pop("case2")}
    with pytest.raises(PluginError, match="KeyError: 'case2'"):
        _cached(on_disk, tmp_path / "cache")
    assert on_disk.loads == 3
    on_disk.samples.update(stop)
    mended, folder = _cached(on_disk, tmp_path / "cache")
    # Two were done; what could not be loaded is loaded again.
    assert on_disk.loads == 4
    assert mended.content == whole.content
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

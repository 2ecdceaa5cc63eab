from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medscale.config import validate
from medscale.errors import ConfigError, DataError
from medscale.protocols import Dataset, PluginContext
from medscale.testing import DatasetTests, SpecTests
from medscale_dataset_acdc import dataset as module
from medscale_dataset_acdc.config import AcdcOptions
from medscale_dataset_acdc.dataset import AcdcDataset
from medscale_dataset_acdc.spec import SPEC

SHAPE = (6, 5, 4)


def save(
    path: Path, array: np.ndarray[Any, Any], zooms: tuple[float, ...] = (1.5, 1.25, 10)
) -> None:
    image = nibabel.Nifti1Image(array, np.diag([*zooms[:3], 1]))
    nibabel.save(image, path)


def make_patient(part: Path, number: int, group: str = "DCM", slices: int = 4) -> Path:
    name = f"patient{number:03d}"
    folder = part / name
    folder.mkdir(parents=True)
    info = "ED: 1\nES: 9\n" + (f"Group: {group}\nHeight: 184.0\n" if group else "")
    (folder / "Info.cfg").write_text(info)
    for frame in (1, 9):
        voxels = np.arange(6 * 5 * slices, dtype=np.int16).reshape(6, 5, slices) + 100 * frame
        labels = (voxels % 4).astype(np.uint8)
        save(folder / f"{name}_frame{frame:02d}.nii.gz", voxels)
        save(folder / f"{name}_frame{frame:02d}_gt.nii.gz", labels)
    (folder / f"{name}_4d.nii.gz").write_bytes(b"never read")
    return folder


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    root = tmp_path / "acdc"
    for number in (2, 1):
        make_patient(root / "training", number)
    make_patient(root / "testing", 101, group="")
    return root


class TestSpec(SpecTests):
    spec = SPEC


class TestDataset(DatasetTests):
    spec = SPEC

    @pytest.fixture
    def data(self, acdc: Path) -> Path:
        return acdc


def dataset(data: Path | None, **options: object) -> AcdcDataset:
    return AcdcDataset(AcdcOptions.model_validate(options), PluginContext(data=data))


def test_it_is_a_dataset_with_the_four_tasks(acdc: Path) -> None:
    made = dataset(acdc)
    assert isinstance(made, Dataset)
    labels = {name: task.labels for name, task in made.tasks.items()}
    assert labels == {"rv": (1,), "myo": (2,), "lv": (3,), "heart": (1, 2, 3)}
    assert all(task.may_be_absent for task in made.tasks.values())


def test_cases_are_the_slices_of_both_frames_in_volume_order(acdc: Path) -> None:
    cases = dataset(acdc).cases()
    expected = [
        f"patient{p:03d}_frame{f:02d}_z{z:02d}" for p in (1, 2) for f in (1, 9) for z in range(4)
    ]
    assert [case.id for case in cases] == expected
    assert [case.position for case in cases[:4]] == [0, 1 / 3, 2 / 3, 1]
    assert {case.subject for case in cases[:8]} == {"patient001"}
    assert {case.group for case in cases} == {"DCM"}
    folder = acdc / "training" / "patient001"
    assert cases[0].files == (
        folder / "patient001_frame01.nii.gz",
        folder / "patient001_frame01_gt.nii.gz",
    )


def test_a_slice_is_the_stored_one_with_in_plane_spacing(acdc: Path) -> None:
    made = dataset(acdc)
    case = made.cases()[6]  # patient001, ES, slice 2
    sample = made.load(case)
    voxels = np.arange(120).reshape(SHAPE)[:, :, 2] + 900
    assert sample.image.dtype == np.float32
    np.testing.assert_array_equal(sample.image, voxels[np.newaxis])
    np.testing.assert_array_equal(sample.label, voxels % 4)
    assert sample.label.dtype == np.uint8
    assert sample.spacing == (1.5, 1.25)


def test_a_changed_sample_does_not_change_the_next_one(acdc: Path) -> None:
    made = dataset(acdc)
    first = made.load(made.cases()[0])
    expected = first.image.copy(), first.label.copy()
    first.image[:] = -1
    first.label[:] = 9
    again = made.load(made.cases()[0])
    np.testing.assert_array_equal(again.image, expected[0])
    np.testing.assert_array_equal(again.label, expected[1])


@pytest.mark.parametrize("nested", ["training", "."])
def test_any_of_the_usual_folders_may_be_passed(acdc: Path, nested: str) -> None:
    assert len(dataset(acdc / nested).cases()) == 16


@pytest.mark.parametrize("nested", ["database", "ACDC/database"])
def test_folders_as_the_archive_unpacks_them_are_found(tmp_path: Path, nested: str) -> None:
    make_patient(tmp_path / nested / "training", 1)
    assert len(dataset(tmp_path).cases()) == 8


@pytest.mark.parametrize(
    ("phases", "frames"), [("ed", {"01"}), ("es", {"09"}), ("both", {"01", "09"})]
)
def test_phases_choose_frames(acdc: Path, phases: str, frames: set[str]) -> None:
    assert {case.id[16:18] for case in dataset(acdc, phases=phases).cases()} == frames


def test_mid_keeps_the_middle_third(tmp_path: Path) -> None:
    make_patient(tmp_path, 1, slices=10)
    positions = [case.position for case in dataset(tmp_path, phases="ed", slices="mid").cases()]
    assert positions == [3 / 9, 4 / 9, 5 / 9, 6 / 9]


def test_a_volume_of_one_slice_lies_in_the_middle(tmp_path: Path) -> None:
    make_patient(tmp_path, 1, slices=1)
    assert [case.position for case in dataset(tmp_path, slices="mid").cases()] == [0.5, 0.5]


def test_testing_patients_come_on_request_and_need_no_group(acdc: Path) -> None:
    cases = dataset(acdc, include_testing=True).cases()
    assert len(cases) == 24
    assert {case.group for case in cases if case.subject == "patient101"} == {""}


def test_listing_reads_no_pixels_and_each_volume_is_read_once(
    acdc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = module.read_volume

    def counting(image: Path, label: Path) -> object:
        read.append(image.name)
        return original(image, label)

    monkeypatch.setattr(module, "read_volume", counting)
    made = dataset(acdc)
    cases = made.cases()
    assert read == []
    for case in cases:
        made.load(case)
    assert len(read) == 4


def test_headers_are_read_once(acdc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset(acdc)
    first = made.cases()
    monkeypatch.setattr(module, "read_nifti_shape", None)
    assert made.cases() == first


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda p: (p / "Info.cfg").unlink(), r"Info\.cfg is missing"),
        (lambda p: (p / "Info.cfg").write_text("ED: 1\n"), "'nothing' for ES"),
        (lambda p: (p / "Info.cfg").write_text("ED: one\nES: 2\n"), "'one' for ED"),
        (lambda p: (p / "Info.cfg").write_text("ED: ../1\nES: 2\n"), "'../1' for ED"),
        (lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 01\n"), "frame 1 for both"),
        (lambda p: (p / "Info.cfg").write_bytes(b"\xff\xfe\x00ED"), "cannot be read as text"),
        (lambda p: (p / "patient001_frame09.nii.gz").unlink(), r"frame09\.nii\.gz is missing"),
        (
            lambda p: (p / "patient001_frame09_gt.nii.gz").unlink(),
            r"frame09_gt\.nii\.gz is missing",
        ),
        (
            lambda p: save(p / "patient001_frame01.nii.gz", np.zeros((6, 5, 4, 2), np.int16)),
            r"frame01\.nii\.gz has 4 axes, expected 3",
        ),
        (
            lambda p: (p / "patient001_frame01.nii.gz").write_text("hello"),
            r"frame01\.nii\.gz cannot be read as NIfTI",
        ),
    ],
)
def test_a_bad_patient_folder_is_named(acdc: Path, breakage: Any, message: str) -> None:
    breakage(acdc / "training" / "patient001")
    with pytest.raises(DataError, match=message):
        dataset(acdc).cases()


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-40]), r"_gt\.nii\.gz cannot be read as NIfTI"),
        (lambda p: save(p, np.zeros((5, 6, 4), np.uint8)), r"size 5×6×4 but .* has 6×5×4"),
        (lambda p: save(p, np.full(SHAPE, 0.5, np.float32)), r"_gt\.nii\.gz hold the value 0\.5"),
    ],
)
def test_bad_labels_are_named(acdc: Path, breakage: Any, message: str) -> None:
    breakage(acdc / "training" / "patient001" / "patient001_frame01_gt.nii.gz")
    made = dataset(acdc)
    with pytest.raises(DataError, match=message):
        made.load(made.cases()[0])


def test_no_folder_says_how_to_pass_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        dataset(None).cases()
    with pytest.raises(DataError, match="is no folder"):
        dataset(tmp_path / "absent").cases()
    with pytest.raises(DataError, match="is no ACDC folder"):
        dataset(tmp_path).cases()


def test_testing_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    make_patient(tmp_path / "training", 1)
    with pytest.raises(DataError, match="testing holds no patients"):
        dataset(tmp_path, include_testing=True).cases()
    with pytest.raises(DataError, match="finds no testing folder"):
        dataset(tmp_path / "training", include_testing=True).cases()


def test_a_patient_in_both_parts_is_an_error(acdc: Path) -> None:
    make_patient(acdc / "testing", 1)
    with pytest.raises(DataError, match="patient001 lies both in"):
        dataset(acdc, include_testing=True).cases()


def test_a_foreign_case_is_refused(acdc: Path) -> None:
    case = dataset(acdc).cases()[0]
    with pytest.raises(DataError, match="patient001_frame01_z00"):
        dataset(acdc, phases="es").load(case)


def test_options_come_as_text_and_refuse_what_they_do_not_know() -> None:
    assert validate(AcdcOptions, {"include_testing": "true"}, "acdc").include_testing is True
    with pytest.raises(ConfigError, match=r"acdc\.slices got 'labelled'"):
        validate(AcdcOptions, {"slices": "labelled"}, "acdc")


@pytest.mark.real_data
def test_the_real_set_has_its_100_patients_and_200_volumes() -> None:
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip("MEDSCALE_TEST_DATA is unset: no real ACDC to read")
    made = dataset(Path(data) / "acdc")
    cases = made.cases()
    assert len({case.subject for case in cases}) == 100
    assert len({case.files for case in cases}) == 200
    assert len(cases) == len({case.id for case in cases}) > 1800
    mid = dataset(Path(data) / "acdc", slices="mid").cases()
    assert 0.25 < len(mid) / len(cases) < 0.5

    seen: set[int] = set()
    for case in mid[::97]:
        sample = made.load(case)
        assert sample.image.shape == (1, *sample.label.shape)
        assert sample.spacing == (1.5, 1.5)
        seen |= set(np.unique(sample.label).tolist())
    assert seen == {0, 1, 2, 3}

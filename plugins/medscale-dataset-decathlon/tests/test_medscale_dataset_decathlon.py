from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.config import validate
from medscale.errors import ConfigError, DataError
from medscale.protocols import Dataset, PluginContext
from medscale.spec import NAME
from medscale.testing import DatasetTests, SpecTests
from medscale_dataset_decathlon import dataset as module
from medscale_dataset_decathlon.config import DecathlonOptions
from medscale_dataset_decathlon.dataset import DecathlonDataset
from medscale_dataset_decathlon.spec import SPEC
from medscale_dataset_decathlon.tasks import UNION, make_tasks, task_name

SHAPE = (6, 5, 4)
LABELS = {"0": "background", "1": "Anterior", "2": "non-enhancing tumor"}


def save(path: Path, array: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 2, 3, 1])), path)


def entry(name: str) -> dict[str, str]:
    return {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}


def describe(folder: Path, **changes: object) -> None:
    content: dict[str, object] = {
        "name": "Made",
        "modality": {"0": "MRI"},
        "labels": LABELS,
        "training": [entry("b_02"), entry("b_01")],
        "test": ["./imagesTs/never.nii.gz"],
    }
    content.update(changes)
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(kept))


def make_task(folder: Path, channels: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    for number in (1, 2):
        voxels = np.arange(120 * channels, dtype=np.int16).reshape(*SHAPE, channels) * number
        save(
            folder / f"imagesTr/b_{number:02d}.nii.gz", voxels[..., 0] if channels == 1 else voxels
        )
        labels = np.arange(120).reshape(SHAPE) % 3
        save(folder / f"labelsTr/b_{number:02d}.nii.gz", labels.astype(np.uint8))
    (folder / "imagesTr/._b_01.nii.gz").write_bytes(b"macOS")
    describe(folder, modality={str(c): f"MRI {c}" for c in range(channels)})
    return folder


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task(tmp_path / "Task99_Made")


class TestSpec(SpecTests):
    spec = SPEC


class TestSlices(DatasetTests):
    spec = SPEC

    @pytest.fixture
    def data(self, task: Path) -> Path:
        return task


class TestVolumes(TestSlices):
    options: ClassVar[dict[str, str]] = {"dims": "3"}


def dataset(data: Path | None, **options: object) -> DecathlonDataset:
    return DecathlonDataset(DecathlonOptions.model_validate(options), PluginContext(data=data))


def test_tasks_are_the_labels_and_their_union(task: Path) -> None:
    made = dataset(task)
    assert isinstance(made, Dataset)
    assert {name: one.labels for name, one in made.tasks.items()} == {
        "anterior": (1,),
        "non_enhancing_tumor": (2,),
        "foreground": (1, 2),
    }
    assert all(one.may_be_absent for one in made.tasks.values())


def test_a_volume_may_lack_one_of_several_labels_but_not_all(task: Path) -> None:
    absent = {name: one.may_be_absent for name, one in dataset(task, dims=3).tasks.items()}
    assert absent == {"anterior": True, "non_enhancing_tumor": True, "foreground": False}
    describe(task, labels={"0": "background", "1": "spleen"})
    absent = {name: one.may_be_absent for name, one in dataset(task, dims=3).tasks.items()}
    assert absent == {"spleen": False, "foreground": False}


@pytest.mark.parametrize(
    ("axis", "letter", "spacing"), [(0, "x", (2, 3)), (1, "y", (1, 3)), (2, "z", (1, 2))]
)
def test_slices_are_cut_across_the_axis(
    task: Path, axis: int, letter: str, spacing: tuple[float, ...]
) -> None:
    made = dataset(task, axis=axis)
    cases = made.cases()
    assert [case.id for case in cases] == [
        f"b_{n:02d}_{letter}{i:03d}" for n in (1, 2) for i in range(SHAPE[axis])
    ]
    last = SHAPE[axis] - 1
    assert (cases[0].position, cases[1].position, cases[last].position) == (0, 1 / last, 1)
    sample = made.load(cases[1])
    voxels = np.arange(120).reshape(SHAPE).take(1, axis=axis)
    np.testing.assert_array_equal(sample.image, voxels[np.newaxis])
    np.testing.assert_array_equal(sample.label, voxels % 3)
    assert (sample.image.dtype, sample.label.dtype) == (np.float32, np.uint8)
    assert sample.spacing == spacing


def test_every_takes_each_kth_slice(task: Path) -> None:
    cases = dataset(task, every=3).cases()
    assert [case.id for case in cases] == ["b_01_z000", "b_01_z003", "b_02_z000", "b_02_z003"]
    assert {case.subject for case in cases} == {"b_01", "b_02"}


def test_mid_takes_the_middle_third(task: Path) -> None:
    chosen = {case.id for case in dataset(task, axis=0, slices="mid").cases()}
    every = dataset(task, axis=0).cases()
    assert chosen == {case.id for case in every if 1 / 3 <= (case.position or 0) <= 2 / 3}
    assert 0 < len(chosen) < len(every)


def test_volumes_are_whole_cases(task: Path) -> None:
    made = dataset(task, dims=3)
    cases = made.cases()
    assert [(case.id, case.subject, case.position) for case in cases] == [
        ("b_01", "b_01", None),
        ("b_02", "b_02", None),
    ]
    assert cases[0].files == (task / "imagesTr/b_01.nii.gz", task / "labelsTr/b_01.nii.gz")
    sample = made.load(cases[1])
    np.testing.assert_array_equal(sample.image, 2 * np.arange(120).reshape(1, *SHAPE))
    assert sample.image.dtype == np.float32
    assert sample.label.shape == SHAPE
    assert sample.spacing == (1, 2, 3)


def test_channels_come_last_in_the_file_and_first_in_the_sample(tmp_path: Path) -> None:
    task = make_task(tmp_path, channels=2)
    voxels = np.arange(240).reshape(*SHAPE, 2)
    made = dataset(task, dims=3)
    np.testing.assert_array_equal(made.load(made.cases()[0]).image[1], voxels[..., 1])
    made = dataset(task)
    np.testing.assert_array_equal(made.load(made.cases()[2]).image[1], voxels[:, :, 2, 1])


def test_the_parent_of_one_task_will_do(task: Path) -> None:
    (task.parent / "notes").mkdir()
    assert dataset(task.parent).cases() == dataset(task).cases()
    make_task(task.parent / "Task98_Other")
    with pytest.raises(DataError, match=r"2 tasks \(Task98_Other, Task99_Made\), expected one"):
        dataset(task.parent).cases()


def test_each_volume_is_read_once_and_none_to_list(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = module.read_volume

    def counting(image: Path, label: Path, channels: int) -> object:
        read.append(image.name)
        return original(image, label, channels)

    monkeypatch.setattr(module, "read_volume", counting)
    made = dataset(task)
    cases = made.cases()
    assert read == []
    for case in cases:
        made.load(case)
    assert read == ["b_01.nii.gz", "b_02.nii.gz"]


@pytest.mark.parametrize(
    "name",
    [
        "../imagesTr/b_01.nii.gz",
        "imagesTr/../../b_01.nii.gz",
        "/imagesTr/b_01.nii.gz",
        "..\\b_01.nii.gz",
        "C:/b_01.nii.gz",
        "imagesTr/b?.nii.gz",
        "imagesTr/ .nii.gz",
        "imagesTr/.nii.gz",
        "imagesTr/b\x00.nii.gz",
        "imagesTr/b_01.npy",
        "",
        7,
        None,
        ["imagesTr/b_01.nii.gz"],
    ],
)
@pytest.mark.parametrize("key", ["image", "label"])
def test_a_path_must_be_a_nifti_file_inside_the_folder(task: Path, key: str, name: object) -> None:
    describe(task, training=[entry("b_01"), {**entry("b_02"), key: name}])
    with pytest.raises(DataError, match=f"training: {key} got .* expected a NIfTI file inside"):
        dataset(task).cases()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "labels got nothing"),
        ({"labels": ["background", "liver"]}, "labels got .'background"),
        ({"labels": {"liver": 1}}, "labels got {'liver': 1}"),
        ({"labels": {"0": "background", "1": 5}}, "labels got {'1': 5}"),
        ({"labels": {"-1": "liver"}}, "labels got {'-1'"),
        ({"labels": {"0": "background"}}, "expected a label beside background"),
        ({"modality": None}, "modality got nothing"),
        ({"modality": {}}, "modality got {}"),
        ({"modality": "MRI"}, "modality got 'MRI'"),
        ({"training": None}, "training got nothing"),
        ({"training": []}, "expected at least one volume"),
        ({"training": ["imagesTr/b_01.nii.gz"]}, "training got 'imagesTr"),
        ({"training": [entry("b_01"), entry("b_01")]}, "lists the volume b_01 twice"),
    ],
)
def test_a_faulty_description_is_one_sentence(
    task: Path, changes: dict[str, Any], message: str
) -> None:
    describe(task, **changes)
    with pytest.raises(DataError, match=message) as caught:
        dataset(task).cases()
    assert "dataset.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe{}", b"[]", b"null", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_what_is_no_json_object_is_refused(task: Path, content: bytes) -> None:
    (task / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        _ = dataset(task).tasks


def test_macos_leftovers_in_the_list_are_ignored(task: Path) -> None:
    describe(task, training=[entry("._b_01"), entry("b_01")])
    assert [case.id for case in dataset(task, dims=3).cases()] == ["b_01"]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_a_missing_file_is_named(task: Path, dims: int, folder: str) -> None:
    (task / folder / "b_02.nii.gz").unlink()
    with pytest.raises(DataError, match=rf"{folder}/b_02\.nii\.gz is named in dataset\.json"):
        dataset(task, dims=dims).cases()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        ("imagesTr/b_01.nii.gz", np.zeros((*SHAPE, 2), np.int16), "6×5×4×2, expected 3 axes"),
        ("labelsTr/b_01.nii.gz", np.zeros((6, 5, 3), np.uint8), "size 6×5×3 but"),
        ("labelsTr/b_01.nii.gz", np.full(SHAPE, 1.5, np.float32), "hold the value 1.5"),
    ],
)
def test_bad_pixels_are_named(
    task: Path, dims: int, file: str, array: np.ndarray[Any, Any], message: str
) -> None:
    save(task / file, array)
    made = dataset(task, dims=dims)
    with pytest.raises(DataError, match=message) as caught:
        made.load(made.cases()[0])
    assert file in str(caught.value)


def test_a_file_of_two_axes_cannot_be_sliced(task: Path) -> None:
    save(task / "imagesTr/b_01.nii.gz", np.zeros((6, 5), np.int16))
    with pytest.raises(DataError, match=r"b_01\.nii\.gz has 2 axes"):
        dataset(task).cases()


def test_no_folder_says_how_to_pass_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        dataset(None).cases()
    with pytest.raises(DataError, match="is no folder"):
        dataset(tmp_path / "absent").cases()
    with pytest.raises(DataError, match=r"holds no dataset\.json"):
        dataset(tmp_path).cases()


def test_a_foreign_case_is_refused(task: Path) -> None:
    case = dataset(task).cases()[0]
    with pytest.raises(DataError, match="b_01_z000"):
        dataset(task, dims=3).load(case)


def test_options_come_as_text_and_are_checked() -> None:
    options = validate(DecathlonOptions, {"dims": "2", "axis": "1", "every": "4"}, "decathlon")
    assert (options.dims, options.axis, options.every) == (2, 1, 4)
    for values in (
        {"dims": "4"},
        {"axis": 3},
        {"every": 0},
        {"dims": 3, "every": 2},
        {"dims": 3, "slices": "mid"},
    ):
        with pytest.raises(ConfigError, match="decathlon"):
            validate(DecathlonOptions, values, "decathlon")


@given(st.text(max_size=30), st.integers(1, 99999))
def test_every_name_becomes_one_that_can_be_typed(text: str, value: int) -> None:
    assert NAME.fullmatch(task_name(text, value))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Anterior", "anterior"),
        ("L  Atrium (wall)", "l_atrium_wall"),
        ("Ödem", "odem"),
        ("3rd ventricle", "label_3rd_ventricle"),
        ("肝", "label_7"),
    ],
)
def test_names_are_written_plainly(text: str, name: str) -> None:
    assert task_name(text, 7) == name


@given(
    st.dictionaries(
        st.integers(1, 12), st.sampled_from(["a", "A", "a_1", "a_1_1", "foreground", "a 2", ""])
    ).filter(bool)
)
def test_no_two_labels_share_a_task(labels: dict[int, str]) -> None:
    tasks = make_tasks(labels, dims=2)
    assert tasks[UNION].labels == tuple(sorted(labels))
    single = [task.labels for name, task in tasks.items() if name != UNION or len(labels) == 1]
    assert set(single) == {(value,) for value in labels}
    assert all(NAME.fullmatch(name) for name in tasks)


def hippocampus() -> Path:
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip("MEDSCALE_TEST_DATA is unset: no real Decathlon task to read")
    return Path(data) / "Task04_Hippocampus"


@pytest.mark.real_data
@pytest.mark.parametrize("dims", [2, 3])
def test_the_real_hippocampus_has_its_260_volumes(dims: int) -> None:
    made = dataset(hippocampus(), dims=dims)
    cases = made.cases()
    assert len({case.subject for case in cases}) == 260
    assert len(cases) == 260 if dims == 3 else len(cases) > 260 * 20
    assert set(made.tasks) == {"anterior", "posterior", "foreground"}
    seen: set[int] = set()
    for case in cases[:: len(cases) // 12]:
        sample = made.load(case)
        assert sample.image.shape == (1, *sample.label.shape)
        assert sample.label.ndim == len(sample.spacing) == dims
        assert sample.spacing == (1.0,) * dims
        seen |= set(np.unique(sample.label).tolist())
    assert seen == {0, 1, 2}

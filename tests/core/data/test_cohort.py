"""A prepared cohort is read back as it was written, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.cases import Case, Task
from medscale.data.cohort import Cohort, build_cohort, is_saved, open_cohort, save_cohort
from medscale.errors import StoreError


@pytest.fixture(scope="module")
def cohort(make_cohort: Callable[..., Cohort]) -> Cohort:
    return make_cohort(["anna", "anna", "ben", "cleo"], groups=["ill", "ill", "well", "well"])


@pytest.fixture(scope="module")
def saved(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "cohort"
    save_cohort(cohort, folder)
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_cohort_survives_its_cache(cohort: Cohort, saved: Path) -> None:
    read = open_cohort(saved)
    assert read.content == cohort.content
    assert read.cases == cohort.cases
    assert read.image_keys == cohort.image_keys
    for name in ("images", "labels", "spacing"):
        one, other = getattr(read, name), getattr(cohort, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_images_of_zeros_survive_too(tmp_path: Path) -> None:
    # Zarr stores no chunk that holds its fill value alone.
    zeros = np.zeros((1, 1, 8, 8), np.float32)
    case = Case(id="a", subject="a")
    blank = build_cohort((case,), zeros, zeros[:, 0].astype(np.uint8), np.ones((1, 2)), ("k",))
    save_cohort(blank, tmp_path / "cohort")
    assert open_cohort(tmp_path / "cohort").content == blank.content


def test_pixels_in_memory_cannot_be_changed_by_accident(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cohort.images[0] = 0


@pytest.mark.parametrize("name", ["images", "labels", "spacing"])
def test_content_depends_on_every_array(cohort: Cohort, name: str) -> None:
    arrays = {key: getattr(cohort, key).copy() for key in ("images", "labels", "spacing")}
    arrays[name].flat[0] += 1
    other = build_cohort(cohort.cases, image_keys=cohort.image_keys, **arrays)
    assert other.content != cohort.content


@pytest.mark.parametrize(
    "change", [{"id": "z"}, {"subject": "z"}, {"group": "z"}, {"position": 0.5}]
)
def test_content_depends_on_who_the_cases_are(cohort: Cohort, change: dict[str, object]) -> None:
    first, *rest = cohort.cases
    cases = (replace(first, **change), *rest)  # type: ignore[arg-type]
    arrays = cohort.images, cohort.labels, cohort.spacing
    assert build_cohort(cases, *arrays, cohort.image_keys).content != cohort.content


def test_content_does_not_depend_on_where_the_files_are(cohort: Cohort) -> None:
    cases = tuple(replace(case, files=(Path("elsewhere"),)) for case in cohort.cases)
    arrays = cohort.images, cohort.labels, cohort.spacing
    assert build_cohort(cases, *arrays, cohort.image_keys).content == cohort.content


def test_a_target_is_the_union_of_its_labels(cohort: Cohort) -> None:
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, 0, :3] = [1, 2, 3]
    mapped = replace(cohort, images=cohort.images[:2], labels=labels)
    target = mapped.target(Task(labels=(1, 3)))
    assert target.dtype == np.uint8
    np.testing.assert_array_equal(target[0, 0, :4], [1, 0, 1, 0])
    assert target.sum() == 2
    assert mapped.target(Task(labels=(1, 3)), [1]).shape == (1, 8, 8)
    assert mapped.target(Task(labels=(1, 3)), [1]).sum() == 0


def test_a_target_of_masks_is_the_union_of_masks(cohort: Cohort) -> None:
    masks = np.zeros((1, 3, 8, 8), np.uint8)
    masks[0, 0, 0, :2] = 1
    masks[0, 2, 0, 1:3] = 1
    masked = replace(cohort, images=cohort.images[:1], labels=masks)
    np.testing.assert_array_equal(masked.target(Task(labels=(0, 2)))[0, 0, :4], [1, 1, 1, 0])
    np.testing.assert_array_equal(masked.target(Task(labels=(1,)))[0], 0)


def test_duplicates_are_those_of_other_people(make_cohort: Callable[..., Cohort]) -> None:
    twice = make_cohort(
        ["anna", "anna", "ben", "cleo", "dora"], keys=["same", "same", "twin", "own", "twin"]
    )
    assert twice.duplicates() == (("case2", "case4"),)


def test_a_missing_cohort_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no prepared cohort in .*nowhere"):
        open_cohort(tmp_path / "nowhere")


def test_without_its_marker_a_cohort_is_not_there(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    save_cohort(cohort, folder)
    (folder / "committed.json").unlink()
    assert not is_saved(folder)
    with pytest.raises(StoreError, match=r"delete .*cohort and run again"):
        open_cohort(folder)
    with pytest.raises(StoreError, match=r"cohort is in the way .*: delete it and run again"):
        save_cohort(cohort, folder)


def test_another_schema_is_an_error(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    save_cohort(cohort, folder)
    marker = json.loads((folder / "committed.json").read_text())
    (folder / "committed.json").write_text(json.dumps(marker | {"schema": 999}))
    with pytest.raises(StoreError, match=r"schema.*delete .*cohort and run again"):
        open_cohort(folder)


def test_a_lost_file_is_an_error_and_never_zeros(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    save_cohort(cohort, folder)
    assert len(_files(folder)) >= 8  # A marker, the group, three arrays with a chunk each.
    for path in _files(folder):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(StoreError, match=r"delete .*cohort and run again"):
            open_cohort(folder)
        path.write_bytes(content)
    assert open_cohort(folder).content == cohort.content


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_an_error_or_changes_nothing(
    cohort: Cohort, saved: Path, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(_files(saved)), label="file")
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1), label="byte")
    flipped = bytearray(content)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(flipped)
    try:
        assert open_cohort(saved).content == cohort.content
    except StoreError as error:
        assert f"delete {saved} and run again" in str(error)  # noqa: PT017
    finally:
        path.write_bytes(content)


def test_a_cut_chunk_is_an_error(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    save_cohort(cohort, folder)
    for chunk in [path for path in _files(folder) if path.suffix != ".json"]:
        content = chunk.read_bytes()
        chunk.write_bytes(content[: len(content) // 2])
        with pytest.raises(StoreError, match=r"delete .*cohort and run again"):
            open_cohort(folder)
        chunk.write_bytes(content)


def test_a_failed_write_leaves_nothing(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("medscale.atomic.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        save_cohort(cohort, tmp_path / "cohort")
    assert list(tmp_path.iterdir()) == []


def test_writers_at_once_leave_one_whole_cohort(cohort: Cohort, tmp_path: Path) -> None:
    together = Barrier(4)

    def write(_: int) -> None:
        together.wait()
        save_cohort(cohort, tmp_path / "cohort")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
    assert open_cohort(tmp_path / "cohort").content == cohort.content

"""Whatever is wrong on the disk of a field store is named, and mended by making it again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from filelock import FileLock
from tests.core.fields.toy_store import (
    KEYS,
    blocks,
    contents,
    files,
    open_store,
    quality,
    random_codes,
)

from medscale.errors import StorageError, StoreError
from medscale.fields.store import FieldStore


def opened_and_read(folder: Path) -> None:
    open_store(folder).read(KEYS[0], KEYS[1:5])


def test_a_flipped_byte_is_found_wherever_it_is(store: FieldStore, tmp_path: Path) -> None:
    chance = random.Random(0)
    opened_and_read(tmp_path)
    whole_files = [path for path in files(store.root) if path.parent.name != "locks"]
    assert len(whole_files) == 7
    for path in whole_files:
        whole = path.read_bytes()
        inside = chance.sample(range(len(whole)), min(100, len(whole)))
        for position in (0, len(whole) - 1, *inside):
            spoilt = bytearray(whole)
            spoilt[position] ^= chance.randint(1, 255)
            path.write_bytes(spoilt)
            assert [damage.path for damage in store.verify()] == [path]
            with pytest.raises(StoreError, match=str(path)):
                opened_and_read(tmp_path)
            if path.name != "store.json":  # which was checked when the store was opened
                with pytest.raises(StoreError, match=f"delete the folder {path.parent}"):
                    store.read(KEYS[0], KEYS[1:5])
        path.write_bytes(whole)
    assert store.verify() == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("harm", [Path.unlink, cut, empty, lengthen])
@pytest.mark.parametrize("name", ["zarr.json", "c.0.0.0.0", "committed.json", "store.json"])
def test_a_file_that_is_gone_or_of_another_length_is_found(
    store: FieldStore, tmp_path: Path, harm: Callable[[Path], None], name: str
) -> None:
    path = min(path for path in files(store.root) if path.name == name)
    harm(path)
    assert [damage.path for damage in store.verify()] == [path]
    if (harm, name) == (Path.unlink, "store.json"):
        return  # which pairs are there does not depend on it
    # A block without a marker is not there, so its pairs are missing.
    gone = (harm, name) == (Path.unlink, "committed.json")
    with pytest.raises(StoreError, match="no deformation of" if gone else str(path)):
        opened_and_read(tmp_path)


@pytest.mark.parametrize("name", ["zarr.json", "c.0.0.0.0", "committed.json"])
@pytest.mark.parametrize("harm", [Path.unlink, cut])
def test_a_damaged_block_is_mended_by_making_it_again(
    store: FieldStore, tmp_path: Path, harm: Callable[[Path], None], name: str
) -> None:
    before = contents(store.root)
    for path in files(store.root):
        if path.name == name:
            harm(path)
    mender = open_store(tmp_path)
    codes = random_codes(2)
    codes[1] = np.nan
    mender.add(KEYS[0], KEYS[1:3], codes, quality(2))
    mender.add(KEYS[0], KEYS[3:5], random_codes(2, seed=1), quality(2, first=5))
    assert contents(store.root) == before


def test_a_deleted_block_is_missing_and_made_anew(store: FieldStore) -> None:
    before = contents(store.root)
    names = {tuple(store.missing(KEYS[0], KEYS[1:5])): None}
    for folder in blocks(store):
        whole = shutil.move(folder, store.root.parent / "aside")
        names[tuple(store.missing(KEYS[0], KEYS[1:5]))] = None
        assert store.verify() == []
        shutil.move(whole, folder)
    assert set(names) == {(), tuple(KEYS[1:3]), tuple(KEYS[3:5])}
    assert contents(store.root) == before


def test_a_store_that_lost_its_head_gets_it_back(store: FieldStore, tmp_path: Path) -> None:
    head = store.root / "store.json"
    before = head.read_bytes()
    head.unlink()
    open_store(tmp_path).add(KEYS[1], KEYS[5:6], random_codes(1), quality(1))
    assert head.read_bytes() == before


def test_a_block_under_another_source_is_found(store: FieldStore, tmp_path: Path) -> None:
    moved = store.root / "sources" / KEYS[7]
    shutil.move(store.root / "sources" / KEYS[0], moved)
    problem = f"is of the source {KEYS[0]}"
    assert [damage.problem for damage in store.verify()] == [problem, problem]
    with pytest.raises(StoreError, match=problem):
        open_store(tmp_path).read(KEYS[7], KEYS[1:2])


def test_a_block_of_another_kind_of_code_is_found(store: FieldStore, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other")
    other.add(KEYS[1], KEYS[5:6], random_codes(1, shape=(3, 3)), quality(1))
    shutil.copytree(other.root / "sources", store.root / "sources", dirs_exist_ok=True)
    again = open_store(tmp_path)
    (damage,) = again.verify()
    assert "keeps codes of shape (3, 3)" in damage.problem
    with pytest.raises(StoreError, match=r"keeps codes of shape \(3, 3\)"):
        again.read(KEYS[1], KEYS[5:6])
    assert not again.read(KEYS[0], KEYS[3:4]).failed.any()


def test_another_schema_is_refused(store: FieldStore, tmp_path: Path) -> None:
    head = store.root / "store.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | {"schema": 2}))
    with pytest.raises(StoreError, match=r"store\.json has schema 2, this medscale has 1"):
        open_store(tmp_path)


def leftovers(store: FieldStore) -> list[Path]:
    return sorted(store.root.rglob(".*.tmp-*"))


@pytest.fixture
def half_written(store: FieldStore) -> list[Path]:
    """What killed writers leave: a block that only lacks its name, and one without a marker."""
    block = blocks(store)[0]
    for name in ("0" * 32, "1" * 32):
        shutil.copytree(block, block.with_name(f".{name}.tmp-{name}"))
    (leftovers(store)[1] / "committed.json").unlink()
    return leftovers(store)


@pytest.mark.usefixtures("half_written")
def test_half_written_blocks_are_not_there(store: FieldStore, tmp_path: Path) -> None:
    again = open_store(tmp_path)
    assert again.verify() == []
    assert again.info().pairs == 4
    opened_and_read(tmp_path)


@pytest.mark.parametrize("act", ["claim", "add"])
def test_leftovers_of_the_dead_are_removed(
    store: FieldStore, half_written: list[Path], act: str
) -> None:
    assert len(half_written) == 2
    if act == "add":
        store.add(KEYS[0], KEYS[5:6], random_codes(1), quality(1))
    else:
        with store.claim(KEYS[0]):
            pass
    assert leftovers(store) == []


def test_what_somebody_writes_just_now_is_left_alone(
    store: FieldStore, half_written: list[Path]
) -> None:
    with FileLock(store.root / "locks" / f"{KEYS[0]}.write"), store.claim(KEYS[0]) as mine:
        assert mine
        assert leftovers(store) == half_written


def test_a_disk_that_takes_no_more_is_one_sentence_and_leaves_nothing(store: FieldStore) -> None:
    resource = pytest.importorskip("resource")
    before = contents(store.root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # for the chunk, not for zarr.json
    try:
        with pytest.raises(StorageError, match=r"cannot write .*: the file would exceed"):
            store.add(KEYS[0], KEYS[5:], random_codes(3), quality(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(store.root).keys() - before.keys() <= {f"locks/{KEYS[0]}.write"}
    assert leftovers(store) == []
    store.add(KEYS[0], KEYS[5:], random_codes(3), quality(3))
    assert store.missing(KEYS[0], KEYS[1:]) == []


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = open_store(tmp_path / "file")
    with pytest.raises(StorageError, match="a part of that path is a file"):
        store.add(KEYS[0], KEYS[5:6], random_codes(1), quality(1))
    with pytest.raises(StorageError, match="a part of that path is a file"), store.claim(KEYS[0]):
        pass


def test_even_plain_zarr_reads_no_identity_where_a_chunk_is_gone(store: FieldStore) -> None:
    for folder in blocks(store):
        (folder / "c.0.0.0.0").unlink()
        assert np.isnan(np.asarray(zarr.open_array(folder, mode="r")[...])).all()

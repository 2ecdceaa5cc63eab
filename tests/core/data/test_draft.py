"""A draft gives back what it was given, or its beginning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.data.draft import Draft, Row
from medscale.errors import StorageError


def _rows(count: int) -> list[Row]:
    random = np.random.default_rng(0)
    return [
        Row(
            random.random((2, 5, 6)).astype(np.float32),
            random.integers(0, 3, (5, 6)).astype(np.uint8),
            random.random(2),
            f"{number:032x}",
        )
        for number in range(count)
    ]


def _same(one: Row, other: Row) -> bool:
    return one.key == other.key and all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one[:3], other[:3], strict=True)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a draft of three blocks, with 1, 2 and 1 rows."""
    rows, draft = _rows(4), Draft(tmp_path / "draft")
    for row, ends in zip(rows, (True, False, True, True), strict=True):
        draft.add(row)
        if ends:
            draft.keep()
    return tmp_path / "draft"


def test_rows_come_back_in_order(folder: Path) -> None:
    read = list(Draft(folder).read())
    assert len(read) == 4
    assert all(map(_same, read, _rows(4)))


def test_a_draft_goes_on_where_it_ends(folder: Path) -> None:
    rows, draft = _rows(6), Draft(folder, seconds=0)
    done = len(list(draft.read()))
    for row in rows[done:]:
        draft.add(row)
    read = list(Draft(folder).read())
    assert len(read) == 6
    assert all(map(_same, read, rows))


def test_what_takes_no_time_is_not_written(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "draft")
    for row in _rows(3):
        draft.add(row)
    assert not (tmp_path / "draft").exists()


@given(data=st.data())
def test_a_damaged_block_is_not_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("draft")
    draft = Draft(path, seconds=0)
    for row in _rows(3):
        draft.add(row)
    block = path / "00000001.npz"
    content = bytearray(block.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    block.write_bytes(content)
    read = list(Draft(path).read())
    # Some bytes of a zip archive say nothing about what is in it.
    assert len(read) in (1, 3)
    assert all(map(_same, read, _rows(3)))


def test_a_block_that_is_missing_ends_a_draft(folder: Path) -> None:
    (folder / "00000001.npz").unlink()
    assert len(list(Draft(folder).read())) == 1


def test_what_is_discarded_is_gone(folder: Path) -> None:
    Draft(folder).discard()
    assert not folder.exists()
    assert not list(Draft(folder).read())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "draft").write_text("a file")
    draft = Draft(tmp_path / "draft")
    draft.add(_rows(1)[0])
    with pytest.raises((StorageError, OSError), match="draft"):
        draft.keep()

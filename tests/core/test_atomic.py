"""Files are whole or not there, whatever happens to their writer."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medscale import atomic

_WRITE_FOREVER = """
import sys
from pathlib import Path
from medscale import atomic
for count in range(10**9):
    atomic.write_json(Path(sys.argv[1]), {"count": count, "filler": "x" * 2_000_000, "end": count})
    print(count, flush=True)
"""


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "note.txt"
    atomic.write_text(path, "Größe\n")
    assert path.read_text(encoding="utf-8") == "Größe\n"
    assert os.listdir(path.parent) == ["note.txt"]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    atomic.write_json(path, {"a": 1, "long": "x" * 1000})
    atomic.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(
    tmp_path: Path, value: float
) -> None:
    path = tmp_path / "value.json"
    atomic.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(path, {"a": value})
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "value.txt"
    atomic.write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match="No space left"):
            atomic.write_text(path, "new")
    assert os.listdir(tmp_path) == ["value.txt"]
    assert path.read_text() == "old"


def test_readers_and_survivors_of_a_kill_see_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    for kill_after in (1, 3, 6):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(kill_after):
                assert writer.stdout.readline()
                seen = json.loads(path.read_text())
                assert seen["count"] == seen["end"]
            writer.kill()
        kept = json.loads(path.read_text())
        assert kept["count"] == kept["end"]

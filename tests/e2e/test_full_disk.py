"""A disk that is full or read-only: one sentence that says so and where; nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.outcomes import results, the_error

from medscale_cli.__main__ import run

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]
Command = Callable[[Sequence[str]], list[str]]

ROOM = 4 << 20
"""Bytes that are enough for a run and its cache."""

_DERIVED = {
    *("results.csv", "results.parquet", "cases.csv", "cases.parquet"),
    *("curve.png", "curve.svg"),
}


class Disk:
    """A small disk of its own, whose size and mode can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounted = False

    def mount(self, options: str) -> None:
        """Mount it, or change how it is mounted."""
        remount = "remount," if self._mounted else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{remount}{options}", "tmpfs", str(self.folder)]
        if shutil.which("mount") is None:
            pytest.skip("there is no mount command")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting a small disk is not permitted here: {done.stderr.strip()}")
        self._mounted = True

    def clear(self) -> None:
        """Unmount it; everything on it is gone."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
            self._mounted = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that is not mounted yet."""
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    disk.clear()


@pytest.fixture
def study(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Flags of a study of four trials."""
    return (
        *tiny,
        "--budget",
        "steps=4",
        "--aug",
        "none,red",
        "--sizes",
        "1,2",
        "--replicates",
        "1",
    )


@pytest.fixture
def say(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command, its trials too, in this process; returns its status and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str]:
        executor = ("--executor", "serial") if arguments[0] == "run" else ()
        return run([*arguments, *executor]), capfd.readouterr().err

    return call


Say = Callable[..., tuple[int, str]]


def nothing_is_half_true(folder: Path) -> None:
    """Check that every file is whole and no temporary one is left."""
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    assert not [path for path in folder.rglob("*") if ".tmp-" in path.name]
    assert not list(folder.glob("trials/*/failure.json"))
    assert not (folder / "work").exists()


@pytest.fixture
def whole(say: Say, study: tuple[str, ...], tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The results of an undisturbed run."""
    code, said = say("run", *study, "--out", "whole")
    assert code == 0, said
    return results(tmp_path / "whole")


def test_a_full_disk_at_every_moment(
    say: Say, study: tuple[str, ...], whole: dict[str, dict[str, Any]], disk: Disk
) -> None:
    done: list[int] = []
    drawn: list[set[str]] = []
    # From before the first file to the middle of the figures; a page more each time.
    for size in range(4, 80, 8):
        disk.mount(f"size={size}k")
        code, said = say("run", *study, "--out", "disk/run")
        assert code == 1
        error = the_error(said)
        assert "cannot write" in error
        assert str(disk.folder.relative_to(disk.folder.parent)) in error
        assert "the disk is full; free some space" in error
        nothing_is_half_true(disk.folder / "run")
        found = results(disk.folder / "run")
        assert found.items() <= whole.items()
        done.append(len(found))
        drawn.append(_DERIVED & {path.name for path in (disk.folder / "run").glob("*")})

        disk.mount(f"size={ROOM}")
        code, said = say("run", *study, "--out", "disk/run")
        assert code == 0, said
        assert results(disk.folder / "run") == whole
        assert {path.name for path in (disk.folder / "run").glob("*")} >= _DERIVED
        disk.clear()
    # The disk did get full before, among and after the trials.
    assert done[0] == 0
    assert done[-1] == len(whole)
    assert any(0 < count < len(whole) for count in done)
    assert drawn[-1] < _DERIVED


def test_tables_that_did_not_fit_are_made_when_there_is_room(
    say: Say, study: tuple[str, ...], disk: Disk
) -> None:
    """Grown by a size, the run has old tables: they must not pass for new ones."""
    disk.mount(f"size={ROOM}")
    assert say("run", *study, "--sizes", "1", "--out", "disk/run")[0] == 0
    old = (disk.folder / "run" / "results.csv").read_bytes()
    assert say("run", *study, "--out", "disk/run")[0] == 0
    new = (disk.folder / "run" / "results.csv").read_bytes()
    assert len(new.splitlines()) == 5

    # As left by a disk that got full, or a process that was killed, after the last trial.
    (disk.folder / "run" / "results.csv").write_bytes(old)
    (disk.folder / "run" / ".derived.json").unlink()
    assert say("run", *study, "--out", "disk/run")[0] == 0
    assert (disk.folder / "run" / "results.csv").read_bytes() == new


def test_workers_on_a_full_disk(
    say: Say,
    medscale: Medscale,
    study: tuple[str, ...],
    whole: dict[str, dict[str, Any]],
    disk: Disk,
) -> None:
    disk.mount("size=32k")
    done = medscale("run", *study, "--jobs", "2", "--out", "disk/run", check=False)
    assert done.returncode == 1
    error = the_error(done.stderr)
    assert "disk/run" in error
    assert "the disk is full; free some space" in error
    nothing_is_half_true(disk.folder / "run")
    disk.mount(f"size={ROOM}")
    assert say("run", *study, "--out", "disk/run")[0] == 0
    assert results(disk.folder / "run") == whole


def test_the_cache_on_a_full_disk(
    say: Say, study: tuple[str, ...], tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", str(disk.folder / "home"))
    for size in (4, 32, 64):
        disk.mount(f"size={size}k")
        code, said = say("run", *study, "--out", "run")
        assert code == 1
        error = the_error(said)
        assert str(disk.folder / "home" / "cache") in error
        assert "the disk is full; free some space" in error
        assert not (tmp_path / "run").exists()
        assert not [path for path in disk.folder.rglob("*") if ".tmp-" in path.name]
        disk.clear()
    disk.mount(f"size={ROOM}")
    assert say("run", *study, "--out", "run")[0] == 0


def test_a_read_only_run_folder(
    say: Say, study: tuple[str, ...], whole: dict[str, dict[str, Any]], disk: Disk
) -> None:
    disk.mount(f"size={ROOM}")
    assert say("run", *study, "--sizes", "1", "--out", "disk/run")[0] == 0
    before = {path: path.read_bytes() for path in disk.folder.rglob("*") if path.is_file()}
    disk.mount(f"ro,size={ROOM}")
    for out in ("disk/run", "disk/new"):
        code, said = say("run", *study, "--out", out)
        assert code == 1
        error = the_error(said)
        assert out in error
        assert "read-only; choose a folder that can be written" in error
    assert say("results", "disk/run")[0] == 0
    assert say("status", "disk/run")[0] == 0
    assert {path: path.read_bytes() for path in disk.folder.rglob("*") if path.is_file()} == before
    disk.mount(f"rw,size={ROOM}")
    assert say("run", *study, "--out", "disk/run")[0] == 0
    assert results(disk.folder / "run") == whole


def test_a_read_only_data_home(
    say: Say, study: tuple[str, ...], tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", str(disk.folder / "home"))
    disk.mount(f"ro,size={ROOM}")
    code, said = say("run", *study, "--out", "run")
    assert code == 1
    error = the_error(said)
    assert str(disk.folder / "home") in error
    assert "read-only; set MEDSCALE_DATA to a folder that can be written" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_limit_on_the_size_of_files(
    say: Say, command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Like a quota, on any system: the result of a trial is larger than what comes before it."""
    import resource

    study = (*tiny, "--budget", "steps=20", "--set", "train.validations=20", "--sizes", "1")
    study = (*study, "--replicates", "1")
    assert say("run", *study, "--out", "whole")[0] == 0
    limit = (tmp_path / "whole" / "study.json").stat().st_size + 200
    (result,) = (tmp_path / "whole").glob("trials/*/result.json")
    assert result.stat().st_size > limit
    done = subprocess.run(
        command(["run", *study, "--out", "run"]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )
    assert done.returncode == 1
    error = the_error(done.stderr)
    assert "cannot write " in error
    assert "run" in error
    assert "size limit" in error
    nothing_is_half_true(tmp_path / "run")
    assert say("run", *study, "--out", "run")[0] == 0
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_a_file_where_a_folder_has_to_be(
    say: Say, study: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/run"):
        code, said = say("run", *study, "--out", out)
        assert code == 1
        error = the_error(said)
        assert out in error
        assert "choose another" in error
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "file" / "home"))
    code, said = say("run", *study, "--out", "run")
    assert code == 1
    assert f"cannot write {tmp_path / 'file' / 'home'}" in the_error(said)
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "file").read_text() == "mine"

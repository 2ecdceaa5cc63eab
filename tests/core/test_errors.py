"""What the operating system refuses is said in one sentence, with what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from medscale.errors import did_you_mean, explain_os_error


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(code: int) -> None:
    said = str(explain_os_error(OSError(code, os.strerror(code)), "runs/mine"))
    assert said.startswith("cannot write runs/mine: this file system has no locks; mount it with")


def test_below_the_data_folder_the_advice_is_the_variable_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "home/cache/x"))
    said = str(explain_os_error(denied))
    assert "permission denied; set MEDSCALE_DATA to a folder that you may write" in said
    denied.filename = str(tmp_path / "run")
    assert "permission denied; choose a folder that you may write" in str(explain_os_error(denied))


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("MEDSCALE_DATA", str(home))
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", str(home))
    assert f"{home} cannot be made; set MEDSCALE_DATA to another" in str(explain_os_error(missing))
    home.mkdir()
    missing.filename = str(home / "x")
    assert explain_os_error(missing) is None


@pytest.mark.parametrize("name", ["\x1b[2Jgood", "go\nod", "good\x9b31m", "\u202egood"])
@pytest.mark.parametrize("asked", ["good", "entirely else"])
def test_known_names_cannot_speak_to_the_terminal(name: str, asked: str) -> None:
    said = did_you_mean(asked, [name, "plain"])
    assert said.startswith("did you mean" if asked == "good" else "known: ")
    assert said.isprintable()

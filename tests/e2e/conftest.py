"""Runs the real command in real processes, in a folder and data home of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.e2e.outcomes import Answer, Say, the_error

from medscale_cli.__main__ import run

TINY = (
    *("--dataset", "phantom", "--task", "lv", "--set", "phantom.subjects=24"),
    *("--set", "phantom.size=64", "--shape", "32", "--set", "res_unet.width=2"),
    *("--budget", "steps=8", "--device", "cpu"),
)
"""Flags of a study whose trials take a second."""

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data home, in force for this test and its children."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MEDSCALE_DATA", str(folder))
    return folder


@pytest.fixture
def command() -> Callable[[Sequence[str]], list[str]]:
    """Returns the argument vector of a medscale command."""
    return lambda arguments: [sys.executable, "-m", "medscale_cli", *arguments]


@pytest.fixture
def medscale(home: Path, tmp_path: Path, command: Callable[[Sequence[str]], list[str]]) -> Medscale:
    """Runs a command to its end and returns what it said."""

    def call(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(arguments),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return call


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Flags of a study whose trials take a second."""
    return TINY


@pytest.fixture
def say(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a command in this process and returns its exit status and its one error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> Answer:
        code = run(list(arguments))
        said = capsys.readouterr().err
        if code:
            return Answer(code, the_error(said))
        assert "error: " not in said
        assert "Traceback" not in said
        return Answer(code, "")

    return call

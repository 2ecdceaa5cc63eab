"""What commands and runs leave behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from medscale.study.records import read_record


class Answer(NamedTuple):
    """What a command that may be wrong left behind: its exit status and its one error."""

    code: int
    error: str


Say = Callable[..., Answer]
"""Command-line arguments → what they led to."""


def the_error(said: str) -> str:
    """Return the only error in what a command said: its last line, and no traceback."""
    lines = said.strip().splitlines()
    assert "Traceback" not in said
    assert "Fatal" not in said
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1].removeprefix("error: ")


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what has to be repeatable of each trial, weights hash included."""
    records = [read_record(path) for path in folder.glob("trials/*/result.json")]
    return {record.key: record.repeatable() for record in records}

"""What is done stays done: nothing to do, growing grids, and SIGKILL at random moments."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from medscale.study.records import read_record

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]

_KILLS = 20


def results(run: Path) -> dict[str, dict[str, Any]]:
    """Return what has to be repeatable of each trial, weights hash included."""
    records = [read_record(path) for path in run.glob("trials/*/result.json")]
    return {record.key: record.repeatable() for record in records}


def test_the_same_command_again_does_nothing_and_says_so(
    medscale: Medscale, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    flags = (*tiny, "--aug", "none", "--sizes", "1,2", "--replicates", "1", "--out", "run")
    medscale("run", *flags)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    again = medscale("run", *flags)
    assert "nothing to do: all 2 trials were done already" in again.stderr
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    changed = {path.name for path in before if after.get(path) != before[path]}
    assert changed <= {".lock"}
    assert after.keys() == before.keys()


def test_a_wider_grid_runs_only_what_is_new(
    medscale: Medscale, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    flags = (*tiny, "--replicates", "1", "--out", "run")
    medscale("run", *flags, "--aug", "none", "--sizes", "1,2")
    first = results(tmp_path / "run")
    medscale("run", *flags, "--aug", "none,red", "--sizes", "1,2,4")
    second = results(tmp_path / "run")
    assert len(second) == 6
    assert {key: second[key] for key in first} == first


@pytest.mark.timeout(900)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_at_random_moments_it_ends_as_if_uninterrupted(
    medscale: Medscale,
    command: Callable[[Sequence[str]], list[str]],
    tiny: tuple[str, ...],
    tmp_path: Path,
    jobs: str,
) -> None:
    flags = (*tiny, "--aug", "none,red", "--sizes", "1..4", "--replicates", "4")
    medscale("run", *flags, "--jobs", "1", "--executor", "serial", "--out", "whole")
    whole = results(tmp_path / "whole")
    assert len(whole) == 24

    chance = random.Random(f"kills-{jobs}")
    deaths: list[int] = []
    while len(deaths) < _KILLS:
        process = subprocess.Popen(
            command(["run", *flags, "--jobs", jobs, "--out", "broken"]),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # From before the first import to the middle of writing tables.
            process.wait(chance.uniform(0.3, 8.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            deaths.append(process.wait())
        else:
            # It got through: begin anew, so that every kill meets a run at work.
            assert process.returncode == 0
            _forget(tmp_path / "broken", chance)
        for path in (tmp_path / "broken").rglob("*.json"):
            if not path.name.startswith("."):
                json.loads(path.read_text())
    _wait_for_orphans(tmp_path / "broken")
    medscale("run", *flags, "--jobs", jobs, "--out", "broken")
    assert results(tmp_path / "broken") == whole
    leftovers = [path.name for path in (tmp_path / "broken").iterdir()]
    assert "work" not in leftovers


def _forget(run: Path, chance: random.Random) -> None:
    for path in run.glob("trials/*/result.json"):
        if chance.random() < 0.7:
            path.unlink()


def _wait_for_orphans(run: Path) -> None:
    """Wait until no worker of a killed coordinator is left: its pipe has closed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        mine = [
            entry
            for entry in Path("/proc").glob("[0-9]*/cmdline")
            if _reads(entry, str(run).encode())
        ]
        if not mine:
            return
        time.sleep(0.1)
    raise AssertionError(f"workers outlived their coordinator: {mine}")


def _reads(entry: Path, text: bytes) -> bool:
    try:
        return text in entry.read_bytes() and int(entry.parent.name) != os.getpid()
    except OSError:
        return False

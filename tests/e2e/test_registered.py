"""An arm that registers gives the same results whoever filled the store, in whichever order."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from medscale.study.records import read_record

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]

FLAGS = (
    *("--aug", "reg,red+reg", "--sizes", "1..4", "--replicates", "2"),
    *("--set", "reg.targets_per_source=4", "--set", "lddmm.iterations=8,4"),
)


def results(run: Path) -> dict[str, object]:
    records = [read_record(path) for path in run.glob("trials/*/result.json")]
    return {record.key: record.repeatable() for record in records}


@pytest.mark.timeout(600)
def test_results_do_not_depend_on_who_registered(
    medscale: Medscale,
    command: Callable[[Sequence[str]], list[str]],
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = (*tiny, *FLAGS)
    medscale("run", *flags, "--executor", "serial", "--out", "serial")
    serial = results(tmp_path / "serial")
    assert len(serial) == 12

    # From nothing, by two workers at once, and killed on the way.
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "another home"))
    process = subprocess.Popen(
        command(["run", *flags, "--jobs", "2", "--out", "parallel"]),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    store = tmp_path / "another home" / "cache" / "fields"
    deadline = time.monotonic() + 120
    while not list(store.glob("*/sources/*/*/committed.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    medscale("run", *flags, "--jobs", "2", "--out", "parallel")
    assert results(tmp_path / "parallel") == serial

    # Ahead of the trials, by `register`.
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "third home"))
    settings = [part for part in (*tiny, *FLAGS) if "=" in part and "." in part.split("=")[0]]
    ahead = [flag for setting in settings for flag in ("--set", setting)]
    shape = ("--dataset", "phantom", "--task", "lv", "--shape", "32")
    medscale("register", *shape, *ahead, "--threads", "1")
    medscale("run", *flags, "--jobs", "2", "--out", "ahead")
    assert results(tmp_path / "ahead") == serial


def test_an_arm_that_deforms_nothing_says_so(
    medscale: Medscale, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    flags = ("--aug", "reg", "--sizes", "1", "--replicates", "2", "--executor", "serial")
    strict = ("--set", "reg.gate.least_gain=0.99", "--set", "lddmm.iterations=4,2")
    done = medscale("run", *tiny, *flags, *strict, "--out", "run")
    said = " ".join(done.stdout.split())
    assert "note arm reg, n = 1: reg leaves 1 of 1 training images undeformed" in said
    assert "(and 1 more of arm reg)" in said
    done = medscale("results", "run")
    assert "reg leaves 1 of 1 training images undeformed" in " ".join(done.stdout.split())
    medscale("report", "run")
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "reg leaves 1 of 1 training images undeformed" in page

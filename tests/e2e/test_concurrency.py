"""Several processes, and processes that end: what others do to a run leaves it whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.outcomes import results, the_error

from medscale_cli.__main__ import run

_STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Exit status of a run by the signal that stops it."""

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

_SPEC = """
from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="gate",
    summary="Waits, or raises, where a test tells it to",
    api=1,
    target="e2e_gate.gate:Gate",
    config="e2e_gate.gate:GateOptions",
)
"""

_GATE = '''
"""An arm that stops before it trains on two images, so that a test can do something to it."""

import os
import time
from pathlib import Path

from medscale.config import Options


class GateOptions(Options):
    """There is nothing to set."""


class Gate:
    def __init__(self, config, context):
        pass

    def fit(self, view):
        if len(view.subset) != 2:
            return
        gate = Path(os.environ["E2E_GATE"])
        if (gate / "raise").exists():
            raise ValueError("two images\\nare not enough")
        (gate / str(os.getpid())).touch()
        while not (gate / "open").exists():
            time.sleep(0.05)

    def augment(self, batch, generator):
        return batch
'''


class Gate:
    """Where trials with two images wait.

    Attributes:
        folder: Holds a file named after each process that has come here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wait_for_a_worker(self) -> int:
        """Return the id of a process that waits."""
        return int(wait_for(lambda: [path.name for path in self.folder.glob("[0-9]*")])[0])

    def open(self) -> None:
        """Let everybody through, from now on."""
        (self.folder / "open").touch()

    def raise_instead(self) -> None:
        """Let trials fail here."""
        (self.folder / "raise").touch()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The augmenter `gate`, installed for the children of this test."""
    site = tmp_path / "site"
    info = site / "medscale_augmenter_gate-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: medscale-augmenter-gate\nVersion: 0.1\n"
    )
    (info / "entry_points.txt").write_text("[medscale.augmenters]\ngate = e2e_gate.spec:SPEC\n")
    package = site / "e2e_gate"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "spec.py").write_text(_SPEC)
    (package / "gate.py").write_text(_GATE)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(site), *([inherited] if inherited else [])])
    monkeypatch.setenv("PYTHONPATH", path)
    folder = tmp_path / "gate"
    folder.mkdir()
    monkeypatch.setenv("E2E_GATE", str(folder))
    gate = Gate(folder)
    yield gate
    gate.open()


@pytest.fixture
def study(tiny: tuple[str, ...], gate: Gate) -> tuple[str, ...]:
    """Flags of two trials, of which the second waits at the gate."""
    return (*tiny, "--budget", "steps=4", "--aug", "gate", "--sizes", "1,2", "--replicates", "1")


@pytest.fixture
def start(
    home: Path, tmp_path: Path, command: Callable[[Sequence[str]], list[str]]
) -> Iterator[Start]:
    """Starts a command and leaves it running; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(arguments),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            # A suite that a shell runs in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in _STOPS],
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Returns what `medscale status` prints of the run."""
    monkeypatch.setenv("COLUMNS", "400")

    def show(*flags: str) -> str:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            assert run(["status", "run", *flags]) == 0
        return capsys.readouterr().out

    return show


def wait_for(look: Callable[[], Any]) -> Any:
    """Return what is seen once it is something."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def is_gone(process: int) -> bool:
    """Return whether no such process runs; one that nobody has collected counts as gone."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{process}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def sizes(folder: Path) -> list[int]:
    """Return the sizes of the trials that are done."""
    return sorted(record["spec"]["size"] for record in results(folder).values())


def test_two_processes_on_one_run_folder(
    start: Start,
    medscale: Medscale,
    status: Callable[..., str],
    study: tuple[str, ...],
    gate: Gate,
    tmp_path: Path,
) -> None:
    first = start("run", *study, "--jobs", "1", "--out", "run")
    gate.wait_for_a_worker()
    second = medscale("run", *study, "--replicates", "2", "--out", "run", check=False)
    assert second.returncode == 1
    error = the_error(second.stderr)
    assert "another medscale is running in run" in error
    assert "choose another --out" in error

    shown = json.loads(status("--json"))
    assert (shown["planned"], shown["done"], shown["failed"]) == (2, 1, [])
    assert [entry["trial"] for entry in shown["running"]] == ["lv gate n=2 #1"]

    gate.open()
    _, said = first.communicate()
    assert first.returncode == 0, said
    assert sizes(tmp_path / "run") == [1, 2]
    (request,) = json.loads((tmp_path / "run" / "study.json").read_text())["requests"]
    assert request["study"]["replicates"] == [[1, 1]]


def test_a_worker_that_is_killed_is_a_failed_trial(
    start: Start, medscale: Medscale, study: tuple[str, ...], gate: Gate, tmp_path: Path
) -> None:
    flags = (*study, "--sizes", "1,2,4", "--jobs", "1", "--out", "run")
    process = start("run", *flags)
    os.kill(gate.wait_for_a_worker(), signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == 2
    error = the_error(said)
    assert "1 of 3 trials failed; the first: WorkerDied" in error
    assert "SIGKILL" in error
    assert "the same command tries them again" in error
    assert sizes(tmp_path / "run") == [1, 4]

    gate.open()
    medscale("run", *flags, "--executor", "serial")
    assert sizes(tmp_path / "run") == [1, 2, 4]
    assert not list((tmp_path / "run").glob("trials/*/failure.json"))


def test_the_trial_of_a_worker_that_is_told_to_stop_goes_to_another(
    start: Start, study: tuple[str, ...], gate: Gate, tmp_path: Path
) -> None:
    process = start("run", *study, "--jobs", "1", "--out", "run")
    # As a cluster does at a time limit.
    os.kill(gate.wait_for_a_worker(), signal.SIGTERM)
    gate.open()
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert sizes(tmp_path / "run") == [1, 2]


@pytest.mark.parametrize("stop", _STOPS)
def test_a_signal_stops_all_and_the_same_command_goes_on(
    start: Start,
    medscale: Medscale,
    study: tuple[str, ...],
    gate: Gate,
    tmp_path: Path,
    stop: signal.Signals,
) -> None:
    process = start("run", *study, "--jobs", "1", "--out", "run")
    worker = gate.wait_for_a_worker()
    before = results(tmp_path / "run")
    assert [record["spec"]["size"] for record in before.values()] == [1]
    process.send_signal(stop)
    _, said = process.communicate()
    assert process.returncode == _STOPS[stop]
    assert "interrupted: 1 of 2 trials are done and kept" in said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    wait_for(lambda: is_gone(worker))
    assert results(tmp_path / "run") == before
    assert not (tmp_path / "run" / "work").exists()
    assert not list((tmp_path / "run").glob("trials/*/failure.json"))

    gate.open()
    medscale("run", *study, "--executor", "serial", "--out", "run")
    after = results(tmp_path / "run")
    assert len(after) == 2
    assert after.items() >= before.items()


def test_a_run_that_was_killed_is_shown_as_stopped(
    start: Start, status: Callable[..., str], study: tuple[str, ...], gate: Gate
) -> None:
    process = start("run", *study, "--jobs", "1", "--out", "run")
    worker = gate.wait_for_a_worker()
    assert "running  lv gate n=2 #1" in status()
    process.kill()
    wait_for(lambda: is_gone(worker))
    shown = json.loads(status("--json"))
    assert (shown["done"], shown["open"], shown["running"]) == (1, 1, [])
    assert [entry["trial"] for entry in shown["stopped"]] == ["lv gate n=2 #1"]
    text = status()
    assert "running" not in text
    assert "stopped  lv gate n=2 #1 at 0%: the same command trains it anew" in text
    assert "nobody is working on the other 1: run the command again" in text


def test_a_worker_that_outlived_its_coordinator_keeps_its_trial(
    start: Start,
    medscale: Medscale,
    command: Callable[[Sequence[str]], list[str]],
    study: tuple[str, ...],
    gate: Gate,
    tmp_path: Path,
) -> None:
    process = start("run", *study, "--jobs", "1", "--out", "run")
    tied = gate.wait_for_a_worker()
    # As an executor starts them on other machines: not tied to the coordinator.
    (document,) = (path for path in (tmp_path / "run/work").glob("*.json") if "-" not in path.name)
    process.kill()
    wait_for(lambda: is_gone(tied))
    (gate.folder / str(tied)).unlink()
    worker = start("worker", "--document", str(document), "--id", "far")
    gate.wait_for_a_worker()

    again = medscale("run", *study, "--jobs", "1", "--out", "run", check=False)
    assert again.returncode == 1
    error = the_error(again.stderr)
    assert "a worker of an earlier run still holds 1 of the 1 open trials in run" in error
    assert "wait until it ends or stop it" in error
    gate.open()
    _, said = worker.communicate()
    assert worker.returncode == 0, said
    assert not list((tmp_path / "run").glob("work/*.json"))
    assert "all 2 trials were done already" in medscale("run", *study, "--out", "run").stderr


def test_a_trial_that_raises_is_recorded_and_the_others_finish(
    medscale: Medscale,
    status: Callable[..., str],
    study: tuple[str, ...],
    gate: Gate,
    tmp_path: Path,
) -> None:
    gate.raise_instead()
    failed = medscale("run", *study, "--sizes", "1,2,4", "--out", "run", check=False)
    assert failed.returncode == 2
    error = the_error(failed.stderr)
    assert "1 of 3 trials failed; the first: ValueError: two images are not enough" in error
    assert "medscale status run" in error
    assert sizes(tmp_path / "run") == [1, 4]
    (path,) = (tmp_path / "run").glob("trials/*/failure.json")
    record = json.loads(path.read_text())
    assert record["type"] == "ValueError"
    assert record["message"] == "two images\nare not enough"
    assert record["stage"] == "augmenter"
    assert "e2e_gate/gate.py" in record["traceback"]

    shown = json.loads(status("--json"))
    assert (shown["planned"], shown["done"], shown["open"]) == (3, 2, 0)
    assert [failure["key"] for failure in shown["failed"]] == [path.parent.name]
    text = status()
    assert "2 of 3 trials done, 1 failed" in text
    assert "lv gate n=2 #1: ValueError: two images" in text
    assert "in augmenter" in text

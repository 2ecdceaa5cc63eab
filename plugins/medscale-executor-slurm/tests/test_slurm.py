"""What the executor asks of SLURM, and what it makes of the answers; SLURM is a stand-in."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from slurm_stand_in import stop_job

from medscale.config import validate
from medscale.errors import ConfigError, PluginError
from medscale.protocols import PluginContext, SupportsOtherMachines, WorkerExit, WorkOrder
from medscale_cli.__main__ import run
from medscale_executor_slurm import executor as module
from medscale_executor_slurm.cluster import JobState
from medscale_executor_slurm.config import SlurmOptions
from medscale_executor_slurm.executor import SlurmExecutor

TINY = (
    *("run", "--dataset", "phantom", "--task", "lv", "--set", "phantom.subjects=24"),
    *("--set", "phantom.size=64", "--shape", "32", "--set", "res_unet.width=2"),
    *("--budget", "steps=8", "--sizes", "1,2", "--replicates", "1", "--executor", "slurm"),
    *("--set", "slurm.poll=0.2", "--out", "a run"),
)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for Python: says its arguments and its GPUs, then waits for the file `go`."""
    program = tmp_path / "worker"
    go = shlex.quote(str(tmp_path / "go"))
    program.write_text(
        f'#!/bin/sh\necho "$@"\n'
        f'echo "threads $OMP_NUM_THREADS, GPUs <${{CUDA_VISIBLE_DEVICES-its own}}>"\n'
        f"while [ ! -e {go} ]; do sleep 0.05; done\ncat {go} >&2\nexit 5\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(program))
    return tmp_path / "go"


def execute(
    folder: Path,
    heartbeat: Callable[[], None] = lambda: None,
    *,
    workers: int = 1,
    **options: Any,
) -> Sequence[WorkerExit]:
    config = validate(SlurmOptions, {"poll": 0.1, **options}, "slurm")
    order = WorkOrder(document=folder / "work.json", trials=3, workers=workers, threads=2)
    return SlurmExecutor(config, PluginContext()).execute(order, heartbeat)


def once(jobs: Path, act: Callable[[], None]) -> Callable[[], None]:
    """Return a heartbeat that does something once a worker has said something."""
    done: list[bool] = []

    def heartbeat() -> None:
        logs = list(jobs.parents[1].glob("*.log"))
        if logs and all("GPUs" in log.read_text() for log in logs) and not done:
            done.append(True)
            act()

    return heartbeat


def test_what_the_cluster_is_asked_for(slurm: Path, worker: Path, tmp_path: Path) -> None:
    worker.touch()
    execute(
        tmp_path,
        workers=9,
        partition="main",
        account="heart",
        time="04:00:00",
        memory="16G",
        gpus=1,
        extra="--qos=long --comment='two words'",
    )
    asked = json.loads((slurm / "1" / "arguments").read_text())
    # No more jobs than trials.
    wishes = {"--array=0-2", "--cpus-per-task=2", "--partition=main", "--account=heart"}
    assert wishes | {"--time=04:00:00", "--mem=16G", "--gres=gpu:1", "--no-requeue"} <= set(asked)
    assert asked[-2:] == ["--qos=long", "--comment=two words"]


def test_what_is_not_said_is_left_to_the_cluster(slurm: Path, worker: Path, tmp_path: Path) -> None:
    worker.touch()
    execute(tmp_path)
    options = {a.partition("=")[0] for a in json.loads((slurm / "1" / "arguments").read_text())}
    assert not options & {"--partition", "--account", "--time", "--mem", "--gres"}


@pytest.mark.parametrize(("gpus", "seen"), [(0, "<>"), (1, "<its own>")])
def test_a_login_nodes_gpus_are_not_the_jobs(
    slurm: Path,
    worker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    seen: str,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    worker.touch()
    (end,) = execute(tmp_path, gpus=gpus)
    assert f"threads 2, GPUs {seen}" in end.log


def test_how_a_worker_ends(slurm: Path, worker: Path, tmp_path: Path) -> None:
    worker.write_text("error: a reason\n")
    ends = execute(tmp_path, workers=2)
    assert [(end.worker, end.code) for end in ends] == [("w0", 5), ("w1", 5)]
    assert f"worker --document {tmp_path / 'work.json'} --id w1" in ends[1].log
    assert ends[0].log.endswith("error: a reason")
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("TIMEOUT", -signal.SIGTERM),
        ("PREEMPTED", -signal.SIGTERM),
        ("NODE_FAIL", -signal.SIGTERM),
        ("OUT_OF_MEMORY", -signal.SIGKILL),
    ],
)
def test_what_the_cluster_ends(
    slurm: Path, worker: Path, tmp_path: Path, state: str, code: int
) -> None:
    def end_one() -> None:
        stop_job(slurm / "1", 0, state)
        worker.touch()

    ends = execute(tmp_path, once(slurm, end_one), workers=2)
    assert [end.code for end in ends] == [code, 5]
    assert ends[0].log.splitlines()[-1].startswith("error: SLURM ended this job: ")
    assert state in ends[0].log or "used more memory" in ends[0].log


def test_a_cluster_that_does_not_answer_is_asked_again(
    slurm: Path, worker: Path, tmp_path: Path
) -> None:
    squeue, asked = slurm.with_name("bin") / "squeue", tmp_path / "asked"
    mute, working = tmp_path / "mute", tmp_path / "working"
    complaint = "echo 'Unable to contact slurm controller' >&2"
    mute.write_text(f"#!/bin/sh\necho >> {shlex.quote(str(asked))}\n{complaint}\nexit 1\n")
    mute.chmod(0o755)

    def silence() -> None:
        squeue.rename(working)
        mute.rename(squeue)

    def heartbeat() -> None:
        first()
        questions = len(asked.read_text().splitlines()) if asked.exists() else 0
        if questions >= 1:
            worker.touch()
        if questions >= 3 and working.exists():
            working.rename(squeue)

    first = once(slurm, silence)
    (end,) = execute(tmp_path, heartbeat)
    assert end.code == 5
    assert len(asked.read_text().splitlines()) >= 3


def test_a_job_that_slurm_has_forgotten(slurm: Path, worker: Path, tmp_path: Path) -> None:
    def forget() -> None:
        (slurm / "1").rename(tmp_path / "gone")
        worker.touch()

    (end,) = execute(tmp_path, once(slurm, forget))
    assert end.code == -signal.SIGTERM
    assert "error: SLURM no longer knows this job" in end.log


@pytest.mark.parametrize("last", [None, JobState("RUNNING", 0, "n7"), JobState("PENDING", 0, "")])
def test_how_a_job_ended_is_not_guessed(last: JobState | None, tmp_path: Path) -> None:
    end = module._exit(0, last, tmp_path / "none.log")
    assert end.code == -signal.SIGTERM
    assert "did not say how it ended" in end.log


def test_a_job_that_never_was_a_worker(tmp_path: Path) -> None:
    end = module._exit(0, JobState("FAILED", 2 << 8, "n7"), tmp_path / "none.log")
    assert end.code == 2
    assert "the job failed on n7 before a worker could say anything: look whether" in end.log


def test_a_refusal_is_one_sentence(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"\(invalid partition specified: nope\): mend that"):
        execute(tmp_path, partition="nope")


def replace(command: Path, lines: str) -> None:
    """Make a command of the stand-in do something else."""
    command.unlink()
    command.write_text(f"#!/bin/sh\n{lines}\n")
    command.chmod(0o755)


def test_what_was_refused_too_late_is_cancelled_once(slurm: Path, tmp_path: Path) -> None:
    commands, calls = slurm.with_name("bin"), tmp_path / "calls"
    replace(commands / "sbatch", "echo 'sbatch: error: Socket timed out' >&2; exit 1")
    replace(commands / "scancel", f'echo "$@" >> {shlex.quote(str(calls))}; exit 1')
    with pytest.raises(PluginError, match=r"sbatch refused .* \(Socket timed out\)"):
        execute(tmp_path)
    (call,) = calls.read_text().splitlines()
    assert call.startswith("--name=medscale-")


def test_jobs_that_cannot_be_stopped_are_named(
    slurm: Path, worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_STOP_SECONDS", 1)
    replace(slurm.with_name("bin") / "scancel", "exit 1")
    # By name where Ctrl-C came before sbatch had told the number.
    with pytest.raises(PluginError, match=r"yourself with `scancel (1|--name=medscale-\w+)`"):
        execute(tmp_path, once(slurm, interrupt))
    worker.touch()


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginError, match="no sbatch on this machine: run this where"):
        execute(tmp_path)


def test_ctrl_c_while_sbatch_works_leaves_no_job(slurm: Path, worker: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, interrupt)
    (end,) = (slurm / "1").glob("end-*")
    assert end.read_text().startswith("CANCELLED")


@pytest.mark.parametrize(
    ("option", "match"),
    [({"extra": "--qos='x"}, "quotes do not match"), ({"gpus": 2}, "gpus"), ({"tme": "1"}, "time")],
)
def test_bad_options(option: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        validate(SlurmOptions, option, "slurm")


def test_it_says_where_it_runs() -> None:
    executor = SlurmExecutor(SlurmOptions(partition="gpu"), PluginContext())
    assert isinstance(executor, SupportsOtherMachines)
    assert executor.machines == "SLURM, partition gpu"


def test_a_study(
    slurm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    assert run([*TINY]) == 1
    assert "runs trials on other machines (SLURM) and got no --jobs" in capsys.readouterr().err
    assert run([*TINY, "--jobs", "4"]) == 0
    said = capsys.readouterr().err
    assert "2 trials, 2 at a time on SLURM (device auto)" in said
    records = [json.loads(path.read_text()) for path in Path("a run").glob("trials/*/result.json")]
    assert sorted(record["spec"]["size"] for record in records) == [1, 2]
    # The worker has found the device.
    assert {record["environment"]["device"] for record in records} <= {"cpu", "cuda"}
    assert not Path("a run/work").exists()

"""Asks SLURM: submits an array of jobs, says how they are, cancels them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from medscale.errors import PluginError

STOPPED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT")
)
"""How a job ends that somebody or something stopped: no fault of what it ran."""
OUT_OF_MEMORY = "OUT_OF_MEMORY"
_ENDED = STOPPED | {OUT_OF_MEMORY, "COMPLETED", "FAILED"}
_FIELDS = ("ArrayTaskID", "State", "exit_code", "NodeList")
_TICK_SECONDS = 0.1
_ANSWER_SECONDS = 120
"""A controller under load takes its time."""


@dataclass(frozen=True)
class JobState:
    """How one job of an array is.

    Attributes:
        name: SLURM's word for it, such as "RUNNING" or "TIMEOUT".
        status: The wait status of its script, once that has ended.
        node: Where it runs or ran; "" before.
    """

    name: str
    status: int
    node: str

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.name in _ENDED


def check() -> None:
    """Check that SLURM's commands are on this machine.

    Raises:
        PluginError: If one is not.
    """
    for command in ("sbatch", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise PluginError(
                f"executor slurm found no {command} on this machine: run this where SLURM's "
                "commands are, such as a login node, or with --executor process"
            )


def submit(
    script: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    heartbeat: Callable[[], None],
) -> str:
    """Submit a script and return the number of its job.

    Args:
        script: What each job runs.
        arguments: Of sbatch.
        environment: Of sbatch, which hands it on to the jobs.
        heartbeat: Called while SLURM takes its time.

    Raises:
        PluginError: If SLURM refuses.
    """
    command = ["sbatch", "--parsable", *arguments]
    code, answer, complaint = _ask(command, heartbeat, script=script, environment=environment)
    if code:
        raise PluginError(
            f"sbatch refused the workers' jobs ({_sentence(complaint)}): mend that with --set "
            "slurm.partition, slurm.account, slurm.time or slurm.extra (`medscale describe slurm` "
            "shows all), then run the same command again"
        )
    # With several clusters the answer is "number;cluster".
    return answer.strip().split(";")[0]


def states(job: str, heartbeat: Callable[[], None]) -> dict[int, JobState] | None:
    """Return how each job of an array is, by its place in the array.

    Jobs that ended some minutes ago are no longer there.

    Returns:
        None where SLURM gives no answer just now.
    """
    fields = ",".join(f"{field}:|" for field in _FIELDS)
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}"]
    code, answer, complaint = _ask([*command, f"--Format={fields}"], heartbeat)
    if code:
        return {} if "invalid job id" in complaint.lower() else None
    rows = (line.strip().split("|") for line in answer.splitlines() if "|" in line)
    return {
        int(place): JobState(name, int(status), node)
        for place, name, status, node in (row[: len(_FIELDS)] for row in rows)
    }


def cancel(which: str) -> bool:
    """Cancel jobs; return whether SLURM has taken that.

    Args:
        which: The number of an array, or "--name=NAME".
    """
    return _ask(["scancel", which], lambda: None)[0] == 0


def _ask(
    command: Sequence[str],
    heartbeat: Callable[[], None],
    *,
    script: str = "",
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str, str]:
    """Run a command of SLURM; return its exit status, and what it printed and complained."""
    with (
        _file() as given,
        _file() as printed,
        _file() as complained,
    ):
        given.write(script)
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=printed,
            stderr=complained,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process to answer
        )
        deadline = time.monotonic() + _ANSWER_SECONDS
        try:
            while process.poll() is None and time.monotonic() < deadline:
                heartbeat()
                time.sleep(_TICK_SECONDS)
        finally:
            # Upon Ctrl-C, too: what sbatch has begun is to be cancelled when it is there.
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        printed.seek(0)
        complained.seek(0)
        return process.returncode, printed.read(), complained.read()


def _file() -> IO[str]:
    # Paths may hold any bytes.
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape")


def _sentence(complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return "; ".join(line.removeprefix("sbatch: error: ") for line in lines) or "without a word"

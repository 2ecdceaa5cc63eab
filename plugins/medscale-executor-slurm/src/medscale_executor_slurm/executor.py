"""Runs trials in jobs of a SLURM cluster."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from medscale.errors import PluginError
from medscale.executors.process import MEMORY_SETTINGS
from medscale.protocols import PluginContext, WorkerExit, WorkOrder
from medscale_executor_slurm.cluster import (
    OUT_OF_MEMORY,
    STOPPED,
    JobState,
    cancel,
    check,
    states,
    submit,
)
from medscale_executor_slurm.config import SlurmOptions

_TICK_SECONDS = 0.5
_STOP_SECONDS = 90
"""Clusters give a cancelled job half a minute before they kill it."""
_LOG_BYTES = 4000


class SlurmExecutor:
    """One job array; each of its jobs is a worker that takes trials until none is left.

    Jobs that the cluster stops (time limit, preemption, a node that fails) are not requeued: the
    trials that they leave open are handed out again when all jobs have ended, which is simpler
    than two who restart things, and does the same.
    """

    def __init__(self, config: SlurmOptions, context: PluginContext) -> None:
        self._config = config

    @property
    def machines(self) -> str:
        """Where workers run, in words."""
        partition = self._config.partition
        return f"SLURM, partition {partition}" if partition else "SLURM"

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Submit the workers as one job array and wait for all of them."""
        check()
        count = min(order.workers, order.trials)
        logs = [
            order.document.with_name(f"{order.document.stem}-w{place}.log")
            for place in range(count)
        ]
        try:
            found = self._run(order, count, heartbeat)
            return [_exit(place, found.get(place), log) for place, log in enumerate(logs)]
        finally:
            for log in logs:
                log.unlink(missing_ok=True)

    def _run(
        self, order: WorkOrder, count: int, heartbeat: Callable[[], None]
    ) -> dict[int, JobState]:
        """Return how each job was when it was last seen."""
        name = f"medscale-{uuid.uuid4().hex}"
        which = f"--name={name}"
        found: dict[int, JobState] = {}
        try:
            arguments = self._arguments(order, count, name)
            which = submit(_script(order.document), arguments, self._environment(order), heartbeat)
            while True:
                seen = states(which, heartbeat)
                found.update(seen or {})
                if seen is not None and all(job.ended for job in seen.values()):
                    return found
                self._wait(heartbeat)
        except PluginError:
            # A controller that answers too late may have taken what sbatch says it refused.
            cancel(which)
            raise
        except BaseException as stop:
            _stop(which, stop)
            raise

    def _arguments(self, order: WorkOrder, count: int, name: str) -> list[str]:
        config = self._config
        wishes = {
            "--partition": config.partition,
            "--account": config.account,
            "--time": config.time,
            "--mem": config.memory,
            "--gres": f"gpu:{config.gpus}" if config.gpus else "",
        }
        return [
            *(f"--job-name={name}", f"--array=0-{count - 1}", "--no-requeue", "--export=ALL"),
            *("--nodes=1", "--ntasks=1", f"--cpus-per-task={order.threads}"),
            # Patterns in the name of sbatch's own file would be replaced; the script writes one.
            *(f"--chdir={order.document.parent}", "--output=/dev/null"),
            *(f"{option}={value}" for option, value in wishes.items() if value),
            *shlex.split(config.extra),
        ]

    def _environment(self, order: WorkOrder) -> dict[str, str]:
        threads = str(order.threads)
        threading = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment = {**MEMORY_SETTINGS, **os.environ, **threading}
        # SLURM says which GPU is a job's own; without one, those of the node are not its to use.
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if not self._config.gpus and "gpu" not in self._config.extra:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        return environment

    def _wait(self, heartbeat: Callable[[], None]) -> None:
        until = time.monotonic() + self._config.poll
        while (left := until - time.monotonic()) > 0:
            heartbeat()
            time.sleep(min(_TICK_SECONDS, left))


def _script(document: Path) -> str:
    """Return what each job runs; its exit status is the worker's."""
    worker = [sys.executable, "-m", "medscale_cli", "worker", "--document", str(document)]
    log = shlex.quote(str(document.with_name(document.stem)))
    return (
        "#!/bin/sh\n"
        f'exec {shlex.join(worker)} --id "w$SLURM_ARRAY_TASK_ID" '
        f'> {log}"-w$SLURM_ARRAY_TASK_ID.log" 2>&1\n'
    )


def _stop(which: str, why: BaseException) -> None:
    """Cancel jobs and wait until they have ended.

    Raises:
        PluginError: If they could not be stopped.
    """
    until = time.monotonic() + _STOP_SECONDS
    taken = cancel(which)
    while time.monotonic() < until:
        seen = states(which, lambda: None) if which.isdigit() else {}
        if taken and seen is not None and all(job.ended for job in seen.values()):
            return
        time.sleep(_TICK_SECONDS)
        taken = taken or cancel(which)
    if isinstance(why, KeyboardInterrupt):
        raise PluginError(
            f"SLURM did not stop the workers' jobs within {_STOP_SECONDS} s: see to it yourself "
            f"with `scancel {which}`"
        ) from why


def _exit(place: int, job: JobState | None, log: Path) -> WorkerExit:
    """Return how a worker ended."""
    words = _tail(log)
    if job is None or not job.ended:
        code = -signal.SIGTERM
        words += "\nerror: SLURM no longer knows this job, and did not say how it ended"
    elif job.name in STOPPED:
        code = -signal.SIGTERM
        limit = ", it reached its limit (slurm.time)" if job.name == "TIMEOUT" else ""
        words += f"\nerror: SLURM ended this job: {job.name}{limit}"
    elif job.name == OUT_OF_MEMORY:
        code = -signal.SIGKILL
        words += "\nerror: SLURM ended this job: it used more memory than it had (slurm.memory)"
    else:
        code = os.waitstatus_to_exitcode(job.status)
        if code and not words:
            words = (
                f"error: the job failed on {job.node} before a worker could say anything: look "
                f"whether {log.parent} and {sys.executable} are there, too"
            )
    return WorkerExit(worker=f"w{place}", code=code, log=words.strip())


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""

"""Runs trials in worker processes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from medscale.executors.options import ProcessOptions
from medscale.protocols import PluginContext, WorkerExit, WorkOrder

_POLL_SECONDS = 0.2
_LOG_CHARACTERS = 4000

MEMORY_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""glibc returns large blocks to the system at once, and a training step asks for the same ones
again; keeping them, in huge pages, saves CPU time (docs/benchmarks.md; what is measured there with
benchmarks/memory_settings.py is older than the huge pages). What the user has set stays. Other C
libraries ignore it."""


class ProcessExecutor:
    """One process per worker, so that a crash or a leak of one harms no other.

    A worker's standard input is a pipe that this process holds open: when this process ends, even
    by SIGKILL, the pipe closes and the worker stops, so nothing goes on unseen.
    """

    def __init__(self, config: ProcessOptions, context: PluginContext) -> None:
        self._grace = config.grace

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Start the workers and wait for them."""
        count = min(order.workers, order.trials)
        logs: list[IO[bytes]] = []
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(count):
                logs.append(tempfile.TemporaryFile())  # noqa: SIM115
                workers.append(_start(order, f"w{number}", logs[-1]))
            while any(worker.poll() is None for worker in workers):
                heartbeat()
                time.sleep(_POLL_SECONDS)
            heartbeat()
            return [
                WorkerExit(worker=f"w{number}", code=worker.returncode, log=_tail(log))
                for number, (worker, log) in enumerate(zip(workers, logs, strict=True))
            ]
        finally:
            self._stop(workers)
            for log in logs:
                log.close()

    def _stop(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.close()
        deadline = time.monotonic() + self._grace
        for worker in workers:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _start(order: WorkOrder, worker: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    threads = str(order.threads)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "medscale_cli", "worker"),
            *("--document", str(order.document), "--id", worker, "--tied"),
        ],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Read by the libraries when they start: too late for the worker to set.
        env={
            **MEMORY_SETTINGS,
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        },
        # Ctrl-C reaches the coordinator alone, which then stops its workers in order.
        start_new_session=True,
    )


def _tail(log: IO[bytes]) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - _LOG_CHARACTERS))
    return log.read().decode("utf-8", "replace").strip()

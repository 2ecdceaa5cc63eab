"""Runs one worker after the other on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from medscale.protocols import PluginContext, WorkerExit, WorkOrder
from plugin_module.config import PluginOptions

_LOG_BYTES = 4000


class PluginClass:
    """Starts `medscale worker`; one for a cluster would submit the same command as a job."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Start the workers in turn; the next one takes the trials that the last one left."""
        return [
            self._run(order, f"worker{number}", heartbeat)
            for number in range(min(order.workers, order.trials))
        ]

    def _run(self, order: WorkOrder, name: str, heartbeat: Callable[[], None]) -> WorkerExit:
        command = [sys.executable, "-m", "medscale_cli", "worker"]
        command += ["--document", str(order.document), "--id", name]
        threads = str(order.threads)
        # A file and not a pipe: a pipe that nobody empties stops the worker once it is full.
        with tempfile.TemporaryFile() as log:
            worker = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
            try:
                while worker.poll() is None:
                    heartbeat()
                    time.sleep(self._config.poll)
            finally:
                # Reached by Ctrl-C too, which the heartbeat raises.
                if worker.poll() is None:
                    worker.terminate()
                    worker.wait()
            return WorkerExit(worker=name, code=worker.returncode, log=_end(log))


def _end(log: IO[bytes]) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - _LOG_BYTES))
    return log.read().decode("utf-8", "replace").strip()

"""A good executor, and one bad one for each promise that an executor can break."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from tests.contracts.breaking import breaks, good

from medscale.config import Options
from medscale.protocols import PluginContext, WorkerExit, WorkOrder
from medscale.testing import ExecutorTests


@good(ExecutorTests)
class Processes:
    """Starts all workers at once."""

    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def name(self, number: int) -> str:
        return f"w{number}"

    def start(self, order: WorkOrder, number: int, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "medscale_cli", "worker"]
        command += ["--document", str(order.document), "--id", self.name(number)]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait(
        self, workers: Sequence[subprocess.Popen[bytes]], heartbeat: Callable[[], None]
    ) -> None:
        while any(worker.poll() is None for worker in workers):
            heartbeat()
            time.sleep(0.05)

    def stop(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        for worker in workers:
            worker.kill()
            worker.wait()

    def log(self, file: IO[bytes]) -> str:
        file.seek(0)
        return file.read()[-2000:].decode()

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        files = [tempfile.TemporaryFile() for _ in range(order.workers)]  # noqa: SIM115
        workers = [self.start(order, number, file) for number, file in enumerate(files)]
        try:
            self.wait(workers, heartbeat)
            self.stop(workers)
            return [
                WorkerExit(worker=self.name(n), code=worker.returncode, log=self.log(file))
                for n, (worker, file) in enumerate(zip(workers, files, strict=True))
            ]
        finally:
            self.stop(workers)
            for file in files:
                file.close()


@breaks(ExecutorTests, "test_fulfils_its_protocol")
class NoExecute:
    def __init__(self, config: Options, context: PluginContext) -> None: ...


@breaks(ExecutorTests, "test_workers_get_the_document")
class OneIdForAll(Processes):
    def name(self, number: int) -> str:
        return "worker"


@breaks(ExecutorTests, "test_workers_get_the_document")
class Shell(Processes):
    def start(self, order: WorkOrder, number: int, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        command = (
            f"{sys.executable} -m medscale_cli worker --document {order.document} --id {number}"
        )
        return subprocess.Popen(command, shell=True, stdout=log, stderr=subprocess.STDOUT)


@breaks(ExecutorTests, "test_returns_one_exit_for_each_worker")
class OneExitInAll(Processes):
    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        return super().execute(order, heartbeat)[:1]


@breaks(ExecutorTests, "test_returns_when_all_have_ended")
class WaitsForNobody(Processes):
    def wait(
        self, workers: Sequence[subprocess.Popen[bytes]], heartbeat: Callable[[], None]
    ) -> None:
        time.sleep(0.3)

    def stop(self, workers: Sequence[subprocess.Popen[bytes]]) -> None: ...

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        workers = [self.start(order, number, subprocess.DEVNULL) for number in range(2)]
        self.wait(workers, heartbeat)
        return [WorkerExit(worker=self.name(number), code=0) for number in range(2)]


@breaks(ExecutorTests, "test_heartbeat_is_called")
class Blocks(Processes):
    def wait(
        self, workers: Sequence[subprocess.Popen[bytes]], heartbeat: Callable[[], None]
    ) -> None:
        for worker in workers:
            worker.wait()


@breaks(ExecutorTests, "test_failing_worker_is_reported", "test_killed_worker_is_reported")
class AllIsWell(Processes):
    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        ends = super().execute(order, heartbeat)
        return [WorkerExit(worker=end.worker, code=0, log=end.log) for end in ends]


@breaks(ExecutorTests, "test_failing_worker_is_reported", "test_killed_worker_is_reported")
class Raises(Processes):
    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        ends = super().execute(order, heartbeat)
        if any(end.code for end in ends):
            raise RuntimeError("a worker failed")
        return ends


@breaks(ExecutorTests, "test_log_is_the_end_of_what_was_printed")
class BeginningOfTheLog(Processes):
    def log(self, file: IO[bytes]) -> str:
        file.seek(0)
        return file.read(2000).decode()


@breaks(ExecutorTests, "test_log_is_the_end_of_what_was_printed")
class WholeLog(Processes):
    def log(self, file: IO[bytes]) -> str:
        file.seek(0)
        return file.read().decode()


@breaks(ExecutorTests, "test_interrupt_stops_the_workers")
class LeavesThemRunning(Processes):
    def stop(self, workers: Sequence[subprocess.Popen[bytes]]) -> None: ...

    def log(self, file: IO[bytes]) -> str:
        return ""


@breaks(ExecutorTests, "test_interrupt_stops_the_workers")
class SwallowsTheInterrupt(Processes):
    def wait(
        self, workers: Sequence[subprocess.Popen[bytes]], heartbeat: Callable[[], None]
    ) -> None:
        try:
            super().wait(workers, heartbeat)
        except KeyboardInterrupt:
            return

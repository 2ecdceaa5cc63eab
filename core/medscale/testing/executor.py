"""The contract of executors, as tests with a stand-in for `medscale worker`."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from medscale.protocols import Executor, WorkerExit, WorkOrder
from medscale.testing.base import PluginTests

_STAND_IN = '''\
"""Stands in for `medscale worker`: does what its document says, and leaves traces."""
import argparse, json, os, pathlib, signal, sys, threading, time, uuid

def follow_parent():
    sys.stdin.read()
    os._exit(1)

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["worker"])
    parser.add_argument("--document", type=pathlib.Path, required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--tied", action="store_true")
    given = parser.parse_args()
    if given.tied:
        threading.Thread(target=follow_parent, daemon=True).start()
    todo = json.loads(given.document.read_text(encoding="utf-8"))
    trace = pathlib.Path(todo["traces"]) / uuid.uuid4().hex
    for line in range(2000 if todo["chatty"] else 0):
        print("a line of no interest", line)
    print("worker", given.id, "says goodbye", flush=True)
    started = time.monotonic()
    while True:
        ended = time.monotonic() - started >= todo["seconds"]
        row = {"id": given.id, "document": str(given.document), "ended": ended}
        row["ticks"] = time.monotonic()
        temporary = trace.with_suffix(".tmp")
        temporary.write_text(json.dumps(row), encoding="utf-8")
        os.replace(temporary, trace.with_suffix(".json"))
        if ended:
            break
        time.sleep(0.05)
    if todo["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(todo["code"])

if __name__ == "__main__":
    main()
'''


class ExecutorTests(PluginTests):
    """Subclass with `spec`, and options for running on this machine.

    The tests put a stand-in for the package `medscale_cli` first on PYTHONPATH, so an executor
    has to start `medscale worker` or `python -m medscale_cli worker` with the environment that it
    has itself.

    Attributes:
        patience: Seconds after which a worker that should have been stopped has to be silent.
    """

    kind: ClassVar[str] = "executor"
    patience: ClassVar[float] = 1.0

    @pytest.fixture
    def traces(self, tmp_path: Path) -> Path:
        """The folder where the stand-ins leave their traces."""
        folder = tmp_path / "traces"
        folder.mkdir()
        return folder

    @pytest.fixture
    def order(
        self, tmp_path: Path, traces: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., WorkOrder]:
        """Make a work order for two workers that behave as told."""
        package = tmp_path / "stand-in" / "medscale_cli"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(_STAND_IN, encoding="utf-8")
        path = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
        # A space and a quote, because people's folders have them.
        document = tmp_path / "a person's run" / "work.json"
        document.parent.mkdir()

        def make(
            seconds: float = 0.1, code: int = 0, killed: bool = False, chatty: bool = False
        ) -> WorkOrder:
            todo = {"traces": str(traces), "seconds": seconds, "code": code}
            todo |= {"killed": killed, "chatty": chatty}
            document.write_text(json.dumps(todo), encoding="utf-8")
            return WorkOrder(document=document, trials=4, workers=2, threads=1)

        return make

    def test_workers_get_the_document(
        self, plugin: Executor, order: Callable[..., WorkOrder], traces: Path
    ) -> None:
        """Each worker is started as `medscale worker --document DOC --id ID`, ids being distinct.

        Trials are claimed under the worker's id.

        How to fix: pass the command as a list of arguments (never through a shell unquoted), with
        `sys.executable, "-m", "medscale_cli", "worker"`; number the workers.
        """
        work = order()
        plugin.execute(work, _silence)
        started = _read(traces)
        assert started, "no worker was started"
        assert len(started) <= work.workers, f"{len(started)} workers, {work.workers} asked for"
        assert {row["document"] for row in started} == {str(work.document)}
        ids = [row["id"] for row in started]
        assert len(set(ids)) == len(ids), f"ids given twice: {ids}"

    def test_returns_one_exit_for_each_worker(
        self, plugin: Executor, order: Callable[..., WorkOrder], traces: Path
    ) -> None:
        """The result has one WorkerExit for each worker, with its id, and code 0 if all is well.

        How to fix: wait for every worker and collect its exit status.
        """
        exits = plugin.execute(order(), _silence)
        assert all(isinstance(end, WorkerExit) for end in exits), f"the result is {exits}"
        assert sorted(end.worker for end in exits) == sorted(row["id"] for row in _read(traces))
        assert [end.code for end in exits] == [0] * len(exits), f"{exits}"

    def test_returns_when_all_have_ended(
        self, plugin: Executor, order: Callable[..., WorkOrder], traces: Path
    ) -> None:
        """Nothing runs on after execute() has returned.

        Core reads the results then.

        How to fix: wait for all workers, not for the first.
        """
        plugin.execute(order(seconds=0.5), _silence)
        unfinished = [row["id"] for row in _read(traces) if not row["ended"]]
        assert not unfinished, f"still running: {unfinished}"

    def test_heartbeat_is_called(self, plugin: Executor, order: Callable[..., WorkOrder]) -> None:
        """While workers run, the heartbeat is called about once a second or more often.

        It draws the progress bar and brings Ctrl-C.

        How to fix: poll the workers in a loop with a short sleep and the heartbeat in it, instead
        of a blocking wait().
        """
        beats = [time.monotonic()]
        plugin.execute(order(seconds=2.5), lambda: beats.append(time.monotonic()))
        beats.append(time.monotonic())
        longest = max(after - before for before, after in itertools.pairwise(beats))
        assert longest < 2, f"{longest:.1f} s between two calls of the heartbeat"

    def test_failing_worker_is_reported(
        self, plugin: Executor, order: Callable[..., WorkOrder]
    ) -> None:
        """A worker that ends with status 7 is a WorkerExit with a code other than 0.

        The other workers go on, and core says which trials are open.

        How to fix: do not pass check=True, and do not raise on a status other than 0.
        """
        exits = plugin.execute(order(code=7), _silence)
        assert exits, "no WorkerExit"
        assert all(end.code != 0 for end in exits), f"{exits}"

    @pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on this system")
    def test_killed_worker_is_reported(
        self, plugin: Executor, order: Callable[..., WorkOrder]
    ) -> None:
        """A worker that is killed, as by a machine out of memory, has a code other than 0.

        How to fix: report the negative status of a signal as it is.
        """
        exits = plugin.execute(order(killed=True), _silence)
        assert exits, "no WorkerExit"
        assert all(end.code != 0 for end in exits), f"{exits}"

    def test_log_is_the_end_of_what_was_printed(
        self, plugin: Executor, order: Callable[..., WorkOrder]
    ) -> None:
        """`log` holds the last lines of a worker, however much it printed, and not all of them.

        They are what a person reads first when a worker has died; and a worker whose pipe is
        full stops for ever.

        How to fix: send output to a file and read its end, or drain the pipe while it runs.
        """
        for end in plugin.execute(order(code=1, chatty=True), _silence):
            assert f"worker {end.worker} says goodbye" in end.log, f"the log is {end.log[-200:]!r}"
            assert len(end.log) < 20_000, f"the log has {len(end.log)} characters"

    def test_interrupt_stops_the_workers(
        self, plugin: Executor, order: Callable[..., WorkOrder], traces: Path
    ) -> None:
        """KeyboardInterrupt raised by the heartbeat passes through, and the workers are stopped.

        Ctrl-C has to leave nothing behind that uses the machine.

        How to fix: `try … except BaseException:` terminate the workers, kill after a grace
        period, wait for them, `raise`.
        """

        def interrupt() -> None:
            if _read(traces):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            plugin.execute(order(seconds=5), interrupt)
        time.sleep(self.patience)
        before = _read(traces)
        time.sleep(0.5)
        assert _read(traces) == before, "workers run on after Ctrl-C"


def _silence() -> None:
    """Be called, and do nothing."""


def _read(traces: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(traces.glob("*.json"))]

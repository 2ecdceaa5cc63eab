"""A fault of an executor is one sentence that names it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from medscale.errors import PluginError, StorageError
from medscale.protocols import WorkerExit, WorkOrder
from medscale.study.runner import _execute, _signal_name, _Watch

ORDER = WorkOrder(document=Path("work.json"), trials=1, workers=1, threads=1)


class Toy:
    """Does what a test says."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Ends as told."""
        return cast("Sequence[WorkerExit]", self._act())


class Watch:
    """Nobody looks."""

    def look(self) -> None:
        """Does nothing."""


def _run(act: Callable[[], Any]) -> Sequence[WorkerExit]:
    return _execute(Toy(act), "toy", ORDER, cast("_Watch", Watch()))


def _raise(error: BaseException) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act


def test_what_an_executor_raises() -> None:
    with pytest.raises(PluginError, match=r"executor toy failed \(FileNotFoundError: .*no-sbatch"):
        _run(lambda: subprocess.run(["no-sbatch"], check=True))
    with pytest.raises(PluginError, match=r"executor toy failed \(RuntimeError: queue is closed\)"):
        _run(_raise(RuntimeError("queue is closed")))


def test_what_is_no_fault_of_the_executor_passes() -> None:
    for error in (StorageError("full"), OSError(28, "full"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            _run(_raise(error))


@pytest.mark.parametrize("exits", [None, [], [0], 3])
def test_what_an_executor_returns(exits: object) -> None:
    with pytest.raises(PluginError, match=r"executor toy returned .*, expected a WorkerExit"):
        _run(lambda: exits)
    end = WorkerExit(worker="w", code=0)
    assert _run(lambda: [end]) == [end]


def test_a_signal_of_another_system_has_a_number() -> None:
    assert _signal_name(9) == "SIGKILL"
    assert _signal_name(4242) == "signal 4242"

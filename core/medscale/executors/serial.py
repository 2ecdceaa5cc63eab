"""Runs trials in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medscale.executors.options import SerialOptions
from medscale.protocols import PluginContext, WorkerExit, WorkOrder


class SerialExecutor:
    """For debugging: breakpoints and tracebacks work as in any program."""

    def __init__(self, config: SerialOptions, context: PluginContext) -> None:
        pass

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Run every trial of the document here."""
        from medscale.study.worker import work

        work(order.document, "serial", heartbeat)
        return [WorkerExit(worker="serial", code=0)]

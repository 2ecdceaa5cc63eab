"""The coordinator: plan, minus what is done, to an executor; then tables and figures.

It alone writes the study's metadata. Workers write results, each in its trial's folder.
"""

from __future__ import annotations

import signal
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medscale import atomic
from medscale.errors import (
    MedscaleError,
    PluginError,
    StorageError,
    StoreError,
    disk_is_full,
    storing,
)
from medscale.protocols import Executor, WorkerExit, WorkOrder
from medscale.study.config import RunOptions
from medscale.study.environment import environment, git_state
from medscale.study.plan import PlannedTrial
from medscale.study.records import FailureRecord, read_json
from medscale.study.resolve import Study
from medscale.study.runstore import RunStore
from medscale.study.trial import now
from medscale.study.worker import CANNOT_WRITE, WorkDocument, WorkerReport, report_path

_TOLD_TO_STOP = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""Exit codes of a worker that a person or a cluster has stopped (time limit, preemption): no fault
of its trial, which is left open."""


class Watcher(Protocol):
    """Shows a person how far a run is."""

    def begin(self, total: float, done: float, trials: int, finished: int) -> None:
        """A run starts; amounts are images to train on."""

    def update(self, done: float, finished: int, failed: int, current: Sequence[str]) -> None:
        """Progress; called often."""

    def prepare(self, what: str, share: float) -> None:
        """Progress of what must be there before any trial can go on; called instead."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended.

    Attributes:
        planned: Trials asked for.
        already: Of these, done before.
        finished: Of these, done now.
        failures: Of these, failed.
    """

    planned: int
    already: int
    finished: int
    failures: tuple[FailureRecord, ...]


def run_study(
    study: Study, options: RunOptions, executor: Executor, cache: Path, watcher: Watcher
) -> RunResult:
    """Run every trial of a study that has no result yet.

    Args:
        study: The resolved study.
        options: Where and how.
        executor: Carries the work.
        cache: Folder of what plugins learn.
        watcher: Told of progress.

    Raises:
        StoreError: If the folder holds another study or another process runs in it.
        StorageError: If the disk is full or cannot be written.
        PluginError: If the executor fails.
    """
    store = RunStore(options.out)
    store.check(study.trials, study.config.prepare)
    by_key = {trial.spec.key: trial for trial in study.trials}
    with storing(store.folder), store.coordinating():
        open_trials = [trial for key, trial in by_key.items() if not store.is_done(key)]
        already = len(by_key) - len(open_trials)
        if open_trials or not store.exists() or not store.has_planned(by_key):
            store.begin(study.trials, _request(study, options))
        if open_trials:
            store.tidy()  # reports of a coordinator that was killed
            store.clear_failures([trial.spec.key for trial in open_trials])
            watch = _Watch(store, study.trials, watcher)
            try:
                _run_rounds(store, open_trials, study, options, executor, cache, watch)
            finally:
                store.tidy()
        failures = [store.failure(trial.spec.key) for trial in open_trials]
    failed = tuple(record for record in failures if record is not None)
    finished = sum(store.is_done(trial.spec.key) for trial in open_trials)
    return RunResult(planned=len(by_key), already=already, finished=finished, failures=failed)


def _run_rounds(
    store: RunStore,
    trials: Sequence[PlannedTrial],
    study: Study,
    options: RunOptions,
    executor: Executor,
    cache: Path,
    watch: _Watch,
) -> None:
    """Hand out open trials until each is done or failed.

    One round is enough unless a worker dies or is stopped. The trial that a dead one held is
    recorded as failed, so that the next round gets past it.
    """
    remaining = list(trials)
    while remaining:
        # Absolute, for workers that start in another folder or on another machine.
        document = store.work.absolute() / f"{uuid.uuid4().hex}.json"
        order = WorkDocument(
            run=store.folder.absolute(),
            cohort=study.cohort_folder.absolute(),
            cache=cache.absolute(),
            device=options.device,
            threads=options.threads,
            trials=tuple(trial.spec for trial in remaining),
        )
        atomic.write_json(document, order.model_dump(mode="json"))
        watch.document = document
        work = WorkOrder(
            document=document,
            trials=len(remaining),
            workers=options.jobs,
            threads=options.threads,
        )
        exits = _execute(executor, options.executor, work, watch)
        _record_deaths(store, document, exits)
        for end in exits:
            if end.code == CANNOT_WRITE:
                raise StorageError(
                    _last_words(end)
                    or f"a worker could not write to {store.folder}: look whether the disk is full"
                )
        left = [
            trial
            for trial in remaining
            if not store.is_done(trial.spec.key) and store.failure(trial.spec.key) is None
        ]
        if len(left) == len(remaining):
            held = sum(store.is_claimed(trial.spec.key) for trial in left)
            if held:
                raise StoreError(
                    f"a worker of an earlier run still holds {held} of the {len(left)} open trials "
                    f"in {store.folder}: wait until it ends or stop it, then run the same command "
                    "again"
                )
            codes = ", ".join(str(end.code) for end in exits)
            raise StoreError(
                f"the workers ended without finishing a trial (exit codes {codes}), the first with "
                f"{_last_words(exits[0]) or 'no word'!r}; --debug shows all that they said"
            ) from RuntimeError("\n".join(end.log for end in exits))
        remaining = left


def _execute(executor: Executor, name: str, work: WorkOrder, watch: _Watch) -> Sequence[WorkerExit]:
    """Let an executor work; a fault of its own becomes one sentence that names it."""
    try:
        exits: object = executor.execute(work, watch.look)
    except MedscaleError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and disk_is_full(error):
            raise
        raise PluginError(
            f"executor {name} failed ({type(error).__name__}: {error}): mend that or choose "
            "another --executor, then run the same command again (what is finished is kept)"
        ) from error
    if isinstance(exits, Sequence) and exits and all(isinstance(e, WorkerExit) for e in exits):
        return exits
    raise PluginError(
        f"executor {name} returned {exits!r}, expected a WorkerExit for each worker that it "
        "started: that plugin is to be mended; choose another --executor until then"
    )


def _record_deaths(store: RunStore, document: Path, exits: Sequence[WorkerExit]) -> None:
    for end in exits:
        path = report_path(document, end.worker)
        if end.code in (0, CANNOT_WRITE, *_TOLD_TO_STOP) or not path.is_file():
            continue
        key = WorkerReport.model_validate(read_json(path)).current
        if not key or store.is_done(key):
            continue
        message = f"the worker ended with exit code {end.code}"
        if end.code < 0:
            name = _signal_name(-end.code)
            message = f"the worker was ended by {name}"
            if name == "SIGKILL":
                message += " (often: out of memory; try fewer --jobs)"
        store.write_failure(
            FailureRecord(
                key=key,
                type="WorkerDied",
                message=message,
                stage="worker",
                traceback=end.log,
                finished=now(),
            )
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # an executor of another system has its own
        return f"signal {number}"


def _last_words(end: WorkerExit) -> str:
    """Return a worker's error, or else the last line that it printed, if any."""
    lines = [line.strip() for line in end.log.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1]


class _Watch:
    """Adds up the workers' reports."""

    def __init__(self, store: RunStore, trials: Sequence[PlannedTrial], watcher: Watcher) -> None:
        self.document: Path | None = None
        self._trials = {trial.spec.key: trial for trial in trials}
        self._cost = {key: float(trial.spec.images_seen()) for key, trial in self._trials.items()}
        self._done = {key for key in self._trials if store.is_done(key)}
        self._failed: set[str] = set()
        self._watcher = watcher
        watcher.begin(
            sum(self._cost.values()),
            sum(self._cost[key] for key in self._done),
            len(self._trials),
            len(self._done),
        )

    def look(self) -> None:
        """Read the reports and tell the watcher."""
        if self.document is None:
            return
        reports = [
            WorkerReport.model_validate(read_json(path))
            for path in sorted(self.document.parent.glob(f"{self.document.stem}-*.report.json"))
        ]
        for report in reports:
            self._done.update(report.done)
            self._failed.update(report.failed)
        ended = self._done | self._failed
        current = [report for report in reports if report.current not in ended | {""}]
        preparing = [(r.stage, r.prepared) for r in current if r.prepared is not None]
        if preparing and len(preparing) == len(current):
            # Workers that prepare the same wait for each other: what the slowest does counts.
            self._watcher.prepare(*min(preparing, key=lambda each: each[1]))
            return
        done = sum(self._cost[key] for key in ended)
        done += sum(report.share * self._cost[report.current] for report in current)
        self._watcher.update(
            done,
            len(self._done),
            len(self._failed),
            [self._describe(report) for report in current],
        )

    def _describe(self, report: WorkerReport) -> str:
        trial = self._trials[report.current]
        words = f"{trial.arm} n={trial.spec.size} #{trial.spec.replicate + 1}"
        if report.prepared is not None:
            words += f" ({report.stage} {report.prepared:.0%})"
        return words


def _request(study: Study, options: RunOptions) -> dict[str, Any]:
    """Return what study.json keeps of one call."""
    return {
        "when": now(),
        "study": study.config.model_dump(mode="json"),
        "run": options.model_dump(mode="json"),
        "environment": environment(options.device),
        "plugins": study.versions,
        "parameters": study.parameters,
        "pools": study.pools,
        "git": git_state(),
        "notes": list(study.notes),
    }

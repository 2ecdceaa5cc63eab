"""A worker: takes trials from a document, one at a time, and commits each result.

Any number of workers share one document, on one machine or many. Each claims a trial before it
runs it, so nobody deals them out, and a slow trial holds nobody else up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from medscale import atomic
from medscale.config import Options
from medscale.data.cohort import open_cohort
from medscale.errors import StorageError, StoreError, disk_is_full, explain_os_error, storing
from medscale.registry import default_registry
from medscale.study.environment import find_device
from medscale.study.plan import TrialSpec
from medscale.study.records import failure, read_json
from medscale.study.runstore import RunStore
from medscale.study.trial import StageTimer, now, run_trial

DOCUMENT_VERSION = 1
_ADVICE = "give the same `medscale run` command again, which writes a new one"
CANNOT_WRITE = 74
"""Exit status of a worker that a full or read-only disk has ended (EX_IOERR of sysexits.h)."""
_REPORT_SECONDS = 0.5


class WorkDocument(Options):
    """What `medscale worker` is given."""

    version: int = DOCUMENT_VERSION
    run: Path = Field(description="the run folder")
    cohort: Path = Field(description="the prepared cohort")
    cache: Path = Field(description="folder of what plugins learn")
    device: str
    threads: int
    trials: tuple[TrialSpec, ...]


class WorkerReport(Options):
    """How far a worker is; written by the worker, read by coordinator and `medscale status`."""

    worker: str
    current: str = Field(default="", description="key of the trial at work")
    share: float = Field(default=0.0, description="done fraction of the current trial")
    stage: str = ""
    prepared: float | None = Field(
        default=None, description="done share of what its plugins prepare, named by `stage`"
    )
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def read_document(path: Path) -> WorkDocument:
    """Read a work document.

    Raises:
        StoreError: If it is of another version (checked first: a newer document may have fields
            that this medscale would misread) or malformed.
    """
    value = read_json(path, _ADVICE)
    if value.get("version") != DOCUMENT_VERSION:
        raise StoreError(
            f"{path} is a work document of version {value.get('version')}, this medscale reads "
            f"{DOCUMENT_VERSION}: run workers with the medscale that wrote it"
        )
    try:
        return WorkDocument.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise StoreError(
            f"{path} is not a work document ({'.'.join(map(str, first['loc']))}: {first['msg']}): "
            f"{_ADVICE}"
        ) from None


def report_path(document: Path, worker: str) -> Path:
    """Return where a worker reports its progress."""
    return document.with_name(f"{document.stem}-{worker}.report.json")


def work(document: Path, worker: str, heartbeat: Callable[[], None] | None = None) -> None:
    """Run every trial of a document that nobody else has.

    A trial that raises is recorded as failed, and the next one begins. Only what keeps results
    from being written (a full disk) ends the worker.

    Args:
        document: The work document.
        worker: A name unique among the workers of the document.
        heartbeat: Called at least twice a second while a network trains.

    Raises:
        StorageError: If results cannot be written; the trial at work is left open.
    """
    import torch

    order = read_document(document)
    torch.set_num_threads(order.threads)
    device = find_device(order.device)
    store = RunStore(order.run)
    cohort = open_cohort(order.cohort)
    registry = default_registry()
    reporter = _Reporter(document, order.run, worker, heartbeat)
    for spec in order.trials:
        if not document.exists():  # another coordinator has tidied up and hands them out
            return
        if store.is_done(spec.key):
            continue
        with storing(order.run), store.claim(spec.key) as mine:
            # Another worker may have finished it between the look and the claim.
            if not mine or store.is_done(spec.key) or store.failure(spec.key):
                continue
            reporter.begin(spec.key)
            timer = StageTimer()
            try:
                record = run_trial(
                    spec,
                    cohort,
                    registry,
                    device=device,
                    cache=order.cache,
                    progress=reporter.progress,
                    preparing=reporter.preparing,
                    timer=timer,
                )
            except StorageError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and disk_is_full(error):
                    raise explain_os_error(error, str(order.cache)) or error from error
                store.write_failure(failure(spec.key, error, timer.stage, now()))
                reporter.end(failed=True)
            else:
                store.write_result(record)
                reporter.end(failed=False)


class _Reporter:
    """Writes a worker's report, at most twice a second."""

    def __init__(
        self, document: Path, run: Path, worker: str, heartbeat: Callable[[], None] | None
    ) -> None:
        self._document = document
        self._path = report_path(document, worker)
        self._run = run
        self._heartbeat = heartbeat
        self._state: dict[str, Any] = {"worker": worker, "done": [], "failed": []}
        self._written = 0.0

    def begin(self, key: str) -> None:
        self._state |= {"current": key, "share": 0.0, "stage": "starting", "prepared": None}
        self._write()

    def progress(self, share: float, stage: str) -> None:
        self._tell(share=share, stage=stage, prepared=None)

    def preparing(self, what: str, share: float) -> None:
        self._tell(share=0.0, stage=what, prepared=share)

    def end(self, *, failed: bool) -> None:
        self._state["failed" if failed else "done"].append(self._state["current"])
        self._state |= {"current": "", "share": 0.0, "stage": "", "prepared": None}
        self._write()

    def _tell(self, **state: object) -> None:
        if time.monotonic() - self._written < _REPORT_SECONDS:
            return
        self._state |= state
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        # Without its document, a worker has outlived its coordinator, and nobody reads it.
        if self._document.exists():
            with storing(self._run):
                atomic.write_json(self._path, self._state, durable=False)
        if self._heartbeat is not None:
            self._heartbeat()

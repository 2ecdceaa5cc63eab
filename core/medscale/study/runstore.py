"""A run folder: what is in it, who may write it, and what counts as done.

    study.json                 the protocol, the labels, who asked for what and when, the pools
    plan.json                  every planned trial; grows when the grid grows
    trials/<key>/result.json   exists if and only if the trial is done
    trials/<key>/failure.json  the last error of a trial that is not done
    work/                      documents, claims and progress of workers; gone when idle

Everything else in the folder (tables, figures) is derived from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from medscale import atomic
from medscale.data.options import PrepareOptions
from medscale.errors import StoreError
from medscale.locks import process_lock
from medscale.study.plan import PlannedTrial, TrialSpec
from medscale.study.records import FailureRecord, TrialRecord, read_failure, read_json, read_record

_SCHEMA = 1


class RunStore:
    """One run folder.

    Args:
        folder: Where it is; made by the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def work(self) -> Path:
        """Documents, claims and progress files of the workers."""
        return self.folder / "work"

    @property
    def _claims(self) -> Path:
        return self.work / "claims"

    def exists(self) -> bool:
        """Return whether a study has been started here."""
        return (self.folder / "study.json").is_file()

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Hold the folder for one coordinator; the lock ends with the process, however it ends.

        Raises:
            StoreError: If another process holds it, or the folder cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = process_lock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"another medscale is running in {self.folder}: wait for it, stop it, or choose "
                "another --out (`medscale status` shows how far it is)"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def study(self) -> dict[str, Any]:
        """Return study.json.

        Raises:
            StoreError: If there is none, or it is none that this medscale can read.
        """
        if not self.exists():
            raise StoreError(
                f"{self.folder} is no run folder (there is no study.json): give the --out of a run"
            )
        path = self.folder / "study.json"
        study = read_json(path, "restore it from a copy, or choose another --out")
        if study.get("schema") != _SCHEMA:
            raise StoreError(
                f"{path} has schema {study.get('schema')}, this medscale has {_SCHEMA}: use the "
                "medscale that wrote it, or another --out"
            )
        return study

    def pool_sizes(self) -> dict[str, int]:
        """Return by task how many images a trial can train on at most, its smallest split's pool.

        A task is absent where only a medscale that did not record it has run it.

        Raises:
            StoreError: As `study` does.
        """
        smallest: dict[str, int] = {}
        for request in self.study()["requests"]:
            for task, pools in request.get("pools", {}).items():
                smallest[task] = min([*pools, smallest.get(task, pools[0])])
        return smallest

    def begin(self, trials: Sequence[PlannedTrial], request: dict[str, Any]) -> None:
        """Add trials to the plan and note who asked for them.

        Raises:
            StoreError: If the folder holds another study, or a label that means something else.
        """
        self.check(trials)
        study: dict[str, Any] = (
            self.study()
            if self.exists()
            else {
                "schema": _SCHEMA,
                "protocol": trials[0].spec.protocol(),
                "labels": {},
                "requests": [],
            }
        )
        labels = study["labels"]
        for trial in trials:
            for axis, label, meaning in _meanings(trial):
                labels.setdefault(axis, {})[label] = meaning
        study["requests"].append(request)
        plan = self._plan_rows() | {
            trial.spec.key: {
                "arm": trial.arm,
                "backbone": trial.backbone,
                "spec": trial.spec.model_dump(mode="json"),
            }
            for trial in trials
        }
        # The plan first: a study.json without its plan would be a run of nothing.
        atomic.write_json(self.folder / "plan.json", {"schema": _SCHEMA, "trials": plan})
        atomic.write_json(self.folder / "study.json", study)

    def check(self, trials: Sequence[PlannedTrial], prepare: PrepareOptions | None = None) -> None:
        """Refuse to mix studies; writes nothing.

        Args:
            trials: What is to be added.
            prepare: How their images were prepared; says in words why these are others.

        Raises:
            StoreError: Says what differs.
        """
        if not self.exists():
            if not self.folder.exists():
                return
            if not self.folder.is_dir():
                raise StoreError(f"{self.folder} is a file: choose another --out")
            others = {path.name for path in self.folder.iterdir()} - {".lock", "plan.json"}
            if others:
                raise StoreError(
                    f"{self.folder} is not empty and no run folder (it holds {min(others)}): "
                    "choose another --out"
                )
            return
        study = self.study()
        for name, there, here in _differing(study, trials[0], prepare):
            raise StoreError(
                f"{self.folder} holds another study ({name} is {there} there and {here} here): "
                "choose another --out"
            )
        for trial in trials:
            for axis, label, meaning in _meanings(trial):
                for other, same in study["labels"].get(axis, {}).items():
                    # Its trials would be the same ones, and a trial has one label.
                    if axis == "arm" and other != label and same == meaning:
                        raise StoreError(
                            f"{self.folder} holds this arm as {other!r}, not {label!r}: call it "
                            f"{other!r}, give it other options, or choose another --out"
                        )
                known = study["labels"].get(axis, {}).get(label)
                for name, there, here in _differences(known, meaning) if known else ():
                    advice = (
                        f"give this arm a label of its own (--aug my_{label}={label}), or "
                        if axis == "arm"
                        else ""
                    )
                    raise StoreError(
                        f"{self.folder} holds {axis} {label!r} with another {name} ({there} "
                        f"there, {here} here): {advice}choose another --out"
                    )

    def plan(self) -> list[PlannedTrial]:
        """Return every planned trial."""
        return [
            PlannedTrial(TrialSpec.model_validate(row["spec"]), row["arm"], row["backbone"])
            for row in self._plan_rows().values()
        ]

    def has_planned(self, keys: Iterable[str]) -> bool:
        """Return whether trials are in the plan."""
        return self._plan_rows().keys() >= set(keys)

    def _plan_rows(self) -> dict[str, Any]:
        path = self.folder / "plan.json"
        if not path.is_file():
            return {}
        plan = read_json(
            path, "delete this file and run the same command again, which writes it anew"
        )
        if plan.get("schema") != _SCHEMA:
            raise StoreError(
                f"{path} has schema {plan.get('schema')}, this medscale has {_SCHEMA}: use the "
                "medscale that wrote it, or another --out"
            )
        return dict(plan["trials"])

    def trial_folder(self, key: str) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / key

    def is_done(self, key: str) -> bool:
        """Return whether a trial has a result."""
        return (self.trial_folder(key) / "result.json").is_file()

    def result(self, key: str) -> TrialRecord:
        """Read a trial's result."""
        return read_record(self.trial_folder(key) / "result.json")

    def write_result(self, record: TrialRecord) -> None:
        """Commit a result: from here on the trial is done."""
        folder = self.trial_folder(record.key)
        atomic.write_json(folder / "result.json", record.model_dump(mode="json"))
        (folder / "failure.json").unlink(missing_ok=True)

    def failure(self, key: str) -> FailureRecord | None:
        """Return the error of a trial that is not done, or None."""
        path = self.trial_folder(key) / "failure.json"
        if self.is_done(key) or not path.is_file():
            return None
        return read_failure(path)

    def write_failure(self, record: FailureRecord) -> None:
        """Note why a trial did not finish."""
        atomic.write_json(
            self.trial_folder(record.key) / "failure.json", record.model_dump(mode="json")
        )

    def clear_failures(self, keys: Sequence[str]) -> None:
        """Forget failures of trials that are about to be tried again."""
        for key in keys:
            (self.trial_folder(key) / "failure.json").unlink(missing_ok=True)

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim a trial for this worker; yields False where another worker has it.

        The claim is a lock of the operating system: it ends with the process, so a killed worker
        leaves nothing stale.
        """
        self._claims.mkdir(parents=True, exist_ok=True)
        lock = process_lock(self._claims / key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def is_claimed(self, key: str) -> bool:
        """Return whether a worker that lives has claimed a trial.

        Where that cannot be told (the folder of another user, which cannot be written), it counts
        as claimed.
        """
        path = self._claims / key
        if not path.is_file():
            return False
        try:
            with process_lock(path).acquire(timeout=0):
                return False
        except (Timeout, OSError):
            return True

    def tidy(self) -> None:
        """Remove what only running workers need, but no claim that is held.

        A worker may outlive its coordinator: one that an executor has started on another machine.
        """
        for claim in self._claims.glob("*"):
            # Removed by who holds it, so that nobody can claim it in between.
            with suppress(Timeout, OSError), process_lock(claim).acquire(timeout=0):
                claim.unlink()
        with suppress(OSError):
            self._claims.rmdir()
        for path in self.work.glob("*"):
            if path.is_file():  # documents, reports, what an executor that was killed has left
                path.unlink(missing_ok=True)
        with suppress(OSError):
            self.work.rmdir()


def _meanings(trial: PlannedTrial) -> Iterator[tuple[str, str, Any]]:
    """Yield (axis, label, what it stands for) of a trial's labels."""
    spec = trial.spec
    yield "arm", trial.arm, [plugin.model_dump(mode="json") for plugin in spec.arm]
    yield "backbone", trial.backbone, spec.backbone.model_dump(mode="json")
    yield "task", spec.task, list(spec.labels)


def _differing(
    study: dict[str, Any], trial: PlannedTrial, prepare: PrepareOptions | None
) -> Iterator[tuple[str, Any, Any]]:
    """Yield in what a trial is of another study, first what people chose, last the images' hash."""
    differences = list(_differences(study["protocol"], trial.spec.protocol()))
    hashes = [difference for difference in differences if difference[0] == "data"]
    yield from (difference for difference in differences if difference not in hashes)
    if hashes and prepare is not None:
        asked = study["requests"][-1].get("study", {}).get("prepare", {})
        for name, *values in _differences(asked, prepare.model_dump(mode="json"), "prepare"):
            there, here = ("the default" if value is None else value for value in values)
            yield name, there, here
    yield from hashes


def _differences(there: Any, here: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, old, new) of every leaf in which two JSON values differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for old, new in zip(there, here, strict=True):
            yield from _differences(old, new, path)
    elif there != here:
        yield path or "definition", there, here

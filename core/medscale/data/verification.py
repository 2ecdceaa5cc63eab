"""Checking a set on this machine: the files it was made of, and every case in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medscale.config import validate
from medscale.data.cases import Case
from medscale.data.manifests import Manifest
from medscale.data.prepare import check_cases, check_sample
from medscale.data.progress import Progress, Step, silent
from medscale.data.sets import (
    SetRecord,
    cache_folder,
    content_folder,
    download_folder,
    hash_file,
    how_to_get,
    set_folder,
    set_status,
)
from medscale.errors import DataError, MedscaleError
from medscale.protocols import Dataset, PluginContext
from medscale.registry import Plugin, default_registry, describe_failure


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        path: The file or folder.
        message: What is wrong with it, in a sentence.
        case: The case, or "".
    """

    path: str
    message: str
    case: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked and what was found.

    Attributes:
        name: The set, or the plugin.
        folder: What was read.
        archives: Number of the publisher's files that were hashed again.
        cases: Number of cases that were loaded.
        faults: Every fault.
        notes: What could not be checked, and why.
    """

    name: str
    folder: str
    archives: int = 0
    cases: int = 0
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = field(default=())


def verify_set(manifest: Manifest, *, progress: Progress = silent) -> Verification:
    """Check a present set: hash its publisher's files again, and load every case.

    Raises:
        DataError: If the set is not here.
        PluginError: If its plugin cannot be used.
    """
    status = set_status(manifest.name)
    if status.record is None:
        state = f"partial ({status.detail})" if status.state == "partial" else "not here"
        raise DataError(f"{manifest.name} is {state}: {how_to_get(manifest)}")
    notes: list[str] = []
    faults: list[Fault] = []
    archives = 0
    for path, algorithm, digest in _sources(manifest, status.record):
        if not path.is_file():
            notes.append(f"{path.name} is no longer at {path.parent}, so it was not hashed again")
            continue
        archives += 1
        got = hash_file(path, algorithm, progress)
        if got != digest:
            message = f"its {algorithm} is {got}, was {digest}: it has changed since"
            faults.append(Fault(path=str(path), message=message))
    folder = content_folder(manifest)
    cases = 0
    if manifest.plugin:
        checked = verify_folder(manifest.plugin, folder, progress=progress)
        cases = checked.cases
        faults += checked.faults
    else:
        notes.append(f"no plugin reads {manifest.name} yet, so its images were not checked")
    return Verification(
        name=manifest.name,
        folder=str(set_folder(manifest.name)),
        archives=archives,
        cases=cases,
        faults=tuple(faults),
        notes=tuple(notes),
    )


def verify_folder(
    plugin: str,
    folder: Path,
    *,
    options: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Verification:
    """Load every case of a folder through a dataset plugin.

    Args:
        plugin: The dataset plugin.
        folder: What it reads.
        options: Options of the plugin, as given.
        progress: Told how many cases are done.

    Raises:
        PluginError: If the plugin is unknown or cannot be used.
        ConfigError: If it refuses an option.
    """
    opened = _Opened(plugin, folder, options or {})
    faults: list[Fault] = []
    done = 0
    for case, path, error in _load_all(opened, folder, progress):
        done += case != ""
        if error is not None:
            faults.append(Fault(path=path, message=_sentence(error), case=case))
    return Verification(name=plugin, folder=str(folder), cases=done, faults=tuple(faults))


def check_readable(manifest: Manifest, folder: Path) -> None:
    """Tell whether a folder is a set: look for its own files, and try its plugin on it.

    Raises:
        DataError: If it is not, as far as that shows.
        PluginError: If the plugin cannot be used.
    """
    pattern = manifest.recognised_by
    if pattern and next(folder.glob(pattern), None) is None:
        raise DataError(
            f"this is not {manifest.name}: there is no {pattern} in {folder} "
            f"(expected layout: {manifest.layout})"
        )
    if not manifest.plugin:
        return
    opened = _Opened(manifest.plugin, folder, {})
    try:
        opened.check(opened.cases()[0])
    except Exception as error:
        # A plugin may fail in any way on a strange folder.
        raise DataError(
            f"this is not {manifest.name} as the {manifest.plugin} plugin reads it: "
            f"{_sentence(error)} (expected layout: {manifest.layout})"
        ) from error


class _Opened:
    """A dataset plugin on a folder; what it raises there names it."""

    def __init__(self, name: str, folder: Path, options: Mapping[str, Any]) -> None:
        self._plugin: Plugin = default_registry().load("dataset", name)
        with self._plugin.doing("checking its options"):
            config = validate(self._plugin.config, options, name)
        context = PluginContext(data=folder, cache=cache_folder())
        self._dataset: Dataset = self._plugin.construct(config, context)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, checked."""
        with self._plugin.doing("cases()"):
            cases = tuple(self._dataset.cases())
            check_cases(cases, self._plugin.title)
        return cases

    def check(self, case: Case) -> None:
        """Load a case and check it."""
        with self._plugin.doing(f"load(case {case.id!r})"):
            check_sample(case, self._dataset.load(case), self._dataset.tasks)


def _load_all(
    opened: _Opened, folder: Path, progress: Progress
) -> Iterator[tuple[str, str, Exception | None]]:
    """Yield each case with its first file and what went wrong with it, if anything did."""
    try:
        cases = opened.cases()
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is a fault to list
        yield "", str(folder), error
        return
    for number, case in enumerate(cases, start=1):
        path = str(case.files[0]) if case.files else str(folder)
        try:
            opened.check(case)
        except Exception as error:  # noqa: BLE001 - as above
            yield case.id, path, error
        else:
            yield case.id, path, None
        progress(Step(task="loading cases", done=number, total=len(cases), unit="cases"))


def _sources(manifest: Manifest, record: SetRecord) -> Iterator[tuple[Path, str, str]]:
    for source in record.sources:
        if record.how == "fetched":
            path = download_folder(manifest.name) / source.name
        else:
            origin = Path(record.origin)
            path = origin / source.name if origin.is_dir() else origin
        yield path, source.algorithm, source.digest


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, MedscaleError) else describe_failure(error)

"""Where data sets lie on this machine, and whether each is whole.

A set is present if and only if its folder holds the marker, which is written last. All of it is
made in a hidden folder beside it and renamed, so a process that is killed leaves nothing that
looks whole:

    <home>/sets/<name>/medscale-set.json    the marker: where it came from, with hashes
    <home>/sets/<name>/data/                the set itself, or a link to where it lies
    <home>/downloads/<name>/                the publisher's files, kept for `verify`
    <home>/cache/                           what medscale derives
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import platformdirs
from filelock import Timeout
from pydantic import Field, ValidationError

from medscale.config import Options
from medscale.data.archives import leftovers
from medscale.data.manifests import Manifest, all_manifests
from medscale.data.progress import Progress, Step, silent
from medscale.errors import ConfigError, DataError, StoreError, explain_os_error
from medscale.locks import process_lock

MARKER = "medscale-set.json"
_CHUNK = 1 << 20


class SourceRecord(Options):
    """A file that a set was made of."""

    name: str = Field(description="file name")
    size: int = Field(description="bytes")
    algorithm: str = Field(description="of the hash")
    digest: str = Field(description="the hash of the file as it was used")
    published: bool = Field(description="whether it is the hash that the publisher gives")


class SetRecord(Options):
    """The marker of a set that is whole."""

    version: Literal[1] = Field(default=1, description="of this document")
    manifest: str = Field(description="name of the set")
    how: Literal["fetched", "unpacked", "copied", "linked"] = Field(description="how it came")
    origin: str = Field(default="", description="the folder it was imported from")
    date: datetime = Field(default_factory=lambda: datetime.now(UTC), description="when it came")
    sources: tuple[SourceRecord, ...] = Field(default=(), description="files it was made of")
    notes: tuple[str, ...] = Field(default=(), description="what the user was told")


@dataclass(frozen=True, kw_only=True)
class SetStatus:
    """Whether a set is on this machine.

    Attributes:
        state: "missing", "partial" (begun, or put there by something else) or "present".
        detail: Why it is partial, in words; "" otherwise.
        record: Where it came from; None unless it is present.
    """

    state: Literal["missing", "partial", "present"]
    detail: str = ""
    record: SetRecord | None = None


def data_home() -> Path:
    """Return the folder of all data: `MEDSCALE_DATA`, or the platform's data directory.

    Raises:
        ConfigError: If it is below a home folder that nobody knows, as in some containers.
    """
    named = os.environ.get("MEDSCALE_DATA")
    try:
        if named:
            return Path(named).expanduser().absolute()
        return platformdirs.user_data_path("medscale", appauthor=False)
    except RuntimeError:
        got = f"MEDSCALE_DATA is {named!r}" if named else "HOME is not set"
        raise ConfigError(
            f"{got}, and the system knows no such home folder: set MEDSCALE_DATA to a folder"
        ) from None


def set_folder(name: str) -> Path:
    """Return the folder of a set, whether it exists or not."""
    return data_home() / "sets" / name


def download_folder(name: str) -> Path:
    """Return the folder of the publisher's files of a set."""
    return data_home() / "downloads" / name


def cache_folder() -> Path:
    """Return the folder of what medscale derives."""
    return data_home() / "cache"


def content_folder(manifest: Manifest) -> Path:
    """Return the folder of a present set that its plugin reads."""
    return reading_folder(manifest, set_folder(manifest.name) / "data")


def reading_folder(manifest: Manifest, data: Path) -> Path:
    """Return the part of an unpacked set that its plugin reads.

    People import the set from its root or from the folder above it, so both are known.
    """
    inner = data / manifest.root
    return inner if inner.is_dir() else data


def set_status(name: str) -> SetStatus:
    """Tell whether a set is missing, partial or present; reads the marker only."""
    folder = set_folder(name)
    if os.path.lexists(folder):
        if not (folder / MARKER).is_file():
            return SetStatus(state="partial", detail=f"{folder} was not put there by medscale")
        try:
            record = SetRecord.model_validate_json((folder / MARKER).read_bytes())
        except (OSError, ValidationError):
            return SetStatus(state="partial", detail=f"{folder / MARKER} cannot be read")
        if not (folder / "data").is_dir():
            gone = record.origin if record.how == "linked" else str(folder / "data")
            return SetStatus(state="partial", detail=f"{gone} is gone")
        return SetStatus(state="present", record=record)
    downloads = download_folder(name)
    if downloads.is_dir() and any(downloads.iterdir()):
        return SetStatus(state="partial", detail="some of its files are downloaded")
    if leftovers(folder):
        return SetStatus(state="partial", detail="unpacking it was interrupted")
    return SetStatus(state="missing")


def write_marker(folder: Path, record: SetRecord) -> None:
    """Write the marker into a folder that is otherwise whole, and push it to the disk."""
    document = json.dumps(record.model_dump(mode="json"), indent=2) + "\n"
    with (folder / MARKER).open("x", encoding="utf-8") as stream:
        stream.write(document)
        stream.flush()
        os.fsync(stream.fileno())


def dataset_folder(name: str, override: Path | None = None) -> Path | None:
    """Return the folder that a dataset plugin should read.

    Args:
        name: The dataset plugin.
        override: What the user gave as `--data`: a folder, or the name of a present set.

    Returns:
        The given folder; else the present set that this plugin reads; None where there is none
        (the plugin may need none, or says what it misses).

    Raises:
        DataError: If the given folder does not exist.
        ConfigError: If several present sets are read by this plugin.
    """
    manifests = all_manifests()
    if override is not None:
        named = manifests.get(str(override))
        if override.is_dir() or named is None:
            if not override.is_dir():
                raise DataError(f"--data {override} is no folder, expected one to read")
            return override
        if set_status(named.name).state != "present":
            raise DataError(f"--data {override}: that set is not here yet; {how_to_get(named)}")
        return content_folder(named)
    present = [
        manifest
        for manifest in manifests.values()
        if manifest.plugin == name and set_status(manifest.name).state == "present"
    ]
    own = [manifest for manifest in present if manifest.name == name]
    choices = own or present
    if len(choices) > 1:
        names = ", ".join(manifest.name for manifest in choices)
        raise ConfigError(
            f"dataset {name} can read several sets that are here ({names}): "
            f"say which, such as --data {choices[0].name}"
        )
    return content_folder(choices[0]) if choices else None


def how_to_get(manifest: Manifest) -> str:
    """Say in one clause how a set gets onto this machine."""
    if manifest.scriptable:
        return f"get it with `medscale data fetch {manifest.name}`"
    why = "it needs a registration" if manifest.registration else "no script may download it"
    return (
        f"{why}: {manifest.how.rstrip('.')}. Then: `medscale data import {manifest.name} PATH`, "
        "where PATH is the archive or the unpacked folder"
    )


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a set for one process; the operating system lets go of it when that process dies.

    Raises:
        StoreError: If another process is at it, or the file system has no locks.
    """
    place = data_home() / "sets" / f".{name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = process_lock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"another process is fetching or importing {name}: wait until it is done"
        ) from None
    except OSError as error:
        raise explain_os_error(error, str(place)) or error from error
    try:
        yield
    finally:
        lock.release()


def hash_file(path: Path, algorithm: str, progress: Progress = silent) -> str:
    """Return the hash of a file in hexadecimal digits."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    size, done = path.stat().st_size, 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
            done += len(chunk)
            progress(Step(task=f"checking {path.name}", done=done, total=size))
    return hasher.hexdigest()

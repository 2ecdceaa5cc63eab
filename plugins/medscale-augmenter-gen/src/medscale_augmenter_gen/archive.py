"""Where a generator is kept: trained once, by one process, and read by all others.

    <folder>/<key>/generator.safetensors    weights, and the basis of deformations
    <folder>/<key>/training.json            how training went, or why it gave nothing
    <folder>/<key>/commit.json              hashes of both: written last, so there is all or nothing
    <folder>/<key>/checkpoint.safetensors   while training: what goes on after a kill

The key is the hash of all that the generator follows from. No file is a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from filelock import Timeout
from safetensors.torch import load, save
from torch import Tensor

from medscale import atomic
from medscale.errors import StoreError, storing
from medscale.locks import process_lock

_WEIGHTS, _RECORD, _COMMIT = "generator.safetensors", "training.json", "commit.json"
_CHECKPOINT = "checkpoint.safetensors"
_FACTS = "facts"
"""Where a checkpoint keeps its JSON, in the head of the file."""


@dataclass(frozen=True)
class Kept:
    """What was trained, or is being trained.

    Attributes:
        tensors: By name.
        facts: JSON.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Archive:
    """One generator's folder; it is made by the first write.

    Args:
        folder: Its path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Kept | None:
        """Return the finished generator and its training record; None where there is none.

        Raises:
            StoreError: If a file is not as it was written.
        """
        try:
            hashes = json.loads((self.folder / _COMMIT).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise self._damaged(_COMMIT) from None
        contents = {name: self._checked(name, hashes) for name in (_WEIGHTS, _RECORD)}
        return Kept(load(contents[_WEIGHTS]), json.loads(contents[_RECORD]))

    def commit(self, kept: Kept) -> None:
        """Keep a finished generator for good, and forget the checkpoint.

        Raises:
            StorageError: If the disk is full, read-only or forbidden.
        """
        record = json.dumps(kept.facts, indent=1, allow_nan=False) + "\n"
        contents = {_WEIGHTS: save(dict(kept.tensors)), _RECORD: record.encode()}
        with storing(self.folder):
            for name, data in contents.items():
                atomic.write_bytes(self.folder / name, data)
            atomic.write_json(
                self.folder / _COMMIT, {name: _hash(data) for name, data in contents.items()}
            )
            (self.folder / _CHECKPOINT).unlink(missing_ok=True)

    def save_checkpoint(self, kept: Kept) -> None:
        """Keep what a killed training goes on from.

        Raises:
            StorageError: If the disk is full, read-only or forbidden.
        """
        data = save(dict(kept.tensors), {_FACTS: json.dumps(kept.facts)})
        with storing(self.folder):
            atomic.write_bytes(self.folder / _CHECKPOINT, data)

    def share_done(self, iterations: int) -> float:
        """Return how far somebody's training has come, of that many iterations."""
        facts = self.checkpoint_facts()
        return facts["attempts"][-1]["iteration"] / iterations if facts else 0.0

    def checkpoint(self) -> Kept | None:
        """Return the checkpoint of an unfinished training; None where none can be used."""
        facts = self.checkpoint_facts()
        if facts is None:
            return None
        return Kept(load((self.folder / _CHECKPOINT).read_bytes()), facts)

    def checkpoint_facts(self) -> Mapping[str, Any] | None:
        """Return what a checkpoint says of itself; None where none can be used."""
        path = self.folder / _CHECKPOINT
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts: Mapping[str, Any] = json.loads(file.metadata()[_FACTS])
        except (FileNotFoundError, safetensors.SafetensorError):
            return None
        return facts

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold the folder for training; yields False where another process does.

        The claim is a lock of the operating system and ends with the process, however it ends.

        Raises:
            StorageError: If the folder cannot be written.
        """
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = process_lock(self.folder / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                mine = False
            else:
                mine = True
        try:
            yield mine
        finally:
            lock.release()

    def _checked(self, name: str, hashes: Mapping[str, str]) -> bytes:
        try:
            data = (self.folder / name).read_bytes()
        except FileNotFoundError:
            data = b""
        if _hash(data) != hashes.get(name):
            raise self._damaged(name)
        return data

    def _damaged(self, name: str) -> StoreError:
        return StoreError(
            f"{self.folder / name} is not as it was written: delete {self.folder}, the next run "
            "trains that generator anew"
        )


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()

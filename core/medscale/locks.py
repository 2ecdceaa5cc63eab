"""Locks between processes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock


def process_lock(path: Path) -> FileLock:
    """Return a lock of the operating system, which ends with its process, however that ends.

    Where the file system has none, acquiring raises an OSError that `medscale.errors` explains.
    filelock's way out, files that name their holder, would outlive one that is killed on another
    machine, and nobody could claim its trial again.
    """
    return FileLock(path, fallback_to_soft=False)

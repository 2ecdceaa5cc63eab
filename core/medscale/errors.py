"""Errors that a user can act on: one sentence each, shown without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class MedscaleError(Exception):
    """Something the user can mend. The message says what, got, expected, and what to do."""

    exit_code = 1


class PluginError(MedscaleError):
    """A plugin that was asked for by name cannot be used."""


class DataError(MedscaleError):
    """An image, a mask or a folder is not what it has to be."""


class ConfigError(MedscaleError):
    """An option is unknown or has a value that its model refuses."""


class StoreError(MedscaleError):
    """A run folder or a cache cannot be read or written as asked."""


_STORAGE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "permission denied; choose a folder that you may write",
    errno.EPERM: "not permitted; choose a folder that you may write",
    errno.ENOTDIR: "a part of that path is a file; choose another folder",
    errno.EFBIG: "the file would exceed the size limit that is set for this process",
}


def explain_os_error(error: OSError, fallback: str = "") -> StoreError | None:
    """Turn a full, read-only or forbidden disk into one sentence.

    Args:
        error: What the operating system said.
        fallback: The path to name where the error carries none.

    Returns:
        The error to show, or None where the failure is not about storage.
    """
    if error.errno not in _STORAGE:
        return None
    where = error.filename or fallback or "the output folder"
    return StoreError(
        f"cannot write {where}: {_STORAGE[error.errno]}, then run the same command again "
        "(what is finished is kept)"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names as a clause, or all of them where none is near."""
    known = sorted(known)
    if not known:
        return "none is available"
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}"

"""Errors that a user can act on: one sentence each, shown without a traceback."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


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


class StorageError(StoreError):
    """The disk is full, read-only or forbidden: nothing can be kept until that is mended."""


_NO_LOCKS = "this file system has no locks; mount it with them or choose another folder"

_STORAGE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "permission denied; choose a folder that you may write",
    errno.EPERM: "not permitted; choose a folder that you may write",
    errno.ENOTDIR: "a part of that path is a file; choose another folder",
    errno.ENAMETOOLONG: "that name is too long; choose a shorter one",
    errno.EFBIG: "the file would exceed the size limit that is set for this process; raise it",
    **dict.fromkeys((errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP), _NO_LOCKS),
}

_CANNOT_GROW = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_TEMPORARY = re.compile(r"\.([^/\\]+)\.tmp-[0-9a-f]+")
"""Of a file or folder that is being written beside its target (`medscale.atomic`)."""


def explain_os_error(error: OSError, fallback: str = "") -> StorageError | None:
    """Turn a full, read-only or forbidden disk, or one without locks, into one sentence.

    Args:
        error: What the operating system said.
        fallback: The path to name where the error carries none.

    Returns:
        The error to show, or None where the failure is not about storage.
    """
    # People know the file that was to be written, not the temporary one beside it.
    where = _TEMPORARY.sub(r"\1", str(error.filename or "")) or fallback or "the output folder"
    home = _data_home_above(where)
    why = _STORAGE.get(error.errno or 0)
    if error.errno == errno.ENOENT and home is not None and not home.exists():
        why = f"{home} cannot be made; choose another folder"
    if why is None:
        return None
    if home is not None:
        why = why.replace("choose ", "set MEDSCALE_DATA to ")
    return StorageError(
        f"cannot write {where}: {why}, then run the same command again (what is finished is kept)"
    )


def _data_home_above(where: str) -> Path | None:
    """Return the data folder, which no option names, if a path lies in it."""
    from medscale.data.sets import data_home  # imports this module

    try:
        home = data_home()
    except ConfigError:
        return None
    return home if Path(where).absolute().is_relative_to(home) else None


def disk_is_full(error: OSError) -> bool:
    """Return whether the failure can only be one of writing, and would meet any other file too.

    A denied permission or a wrong path may be about one file that somebody reads.
    """
    return error.errno in _CANNOT_GROW


@contextmanager
def storing(place: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one sentence that names the place.

    Args:
        place: What to name where the operating system does not say which file it was.

    Raises:
        StorageError: Instead of the `OSError`.
    """
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error, str(place))
        if explained is None:
            raise
        raise explained from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names as a clause, or all of them where none is near.

    Names come from anybody's packages and tables: none may speak to the terminal.
    """
    from medscale.registry import one_line  # imports this module

    known = sorted(map(one_line, known))
    if not known:
        return "none is available"
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}"

"""Files that are either whole or not there, whatever kills the process."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that readers see the old or the new content, never a part.

    The temporary file lies beside the target (a rename is atomic within one file system only)
    and is synced first, so that a power cut cannot leave a renamed but empty file.

    Args:
        path: The target; its folder is made where it is missing.
        data: The content.
        durable: False for what is worthless after a power cut, such as progress: syncing can take
            a tenth of a second on a network disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write readable JSON atomically.

    Raises:
        ValueError: If a number is not finite: NaN in a record would not be JSON.
    """
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8"), durable=durable)


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder durable, where the platform can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

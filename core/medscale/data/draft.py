"""What is prepared of a cohort so far, kept so that a preparation that is stopped goes on."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medscale import atomic
from medscale.data.cases import Array
from medscale.errors import storing


class Row(NamedTuple):
    """A prepared case.

    Attributes:
        image: (C, *S) float32 in [0, 1].
        label: (*S) or (K, *S) uint8.
        spacing: (D,) mm.
        key: The hash of its pixels as loaded.
    """

    image: Array
    label: Array
    spacing: Array
    key: str


class Draft:
    """The first rows of a cohort, in a folder of blocks.

    A block is a file that is whole or not there, named after its first row; what follows a block
    that is missing or damaged is prepared again.

    Args:
        folder: Of this cohort alone; made with the first block.
        seconds: Of preparing that one block is worth. What takes less is not kept.
    """

    def __init__(self, folder: Path, seconds: float = 5.0) -> None:
        self._folder, self._seconds = folder, seconds
        self._first = 0
        self._rows: list[Row] = []
        self._since = time.monotonic()

    def read(self) -> Iterator[Row]:
        """Return the rows that are there, from the first on."""
        while (rows := self._block(self._first)) is not None:
            self._first += len(rows)
            yield from rows

    def add(self, row: Row) -> None:
        """Take the next row."""
        self._rows.append(row)
        if time.monotonic() - self._since > self._seconds:
            self.keep()

    def keep(self) -> None:
        """Write what is not written yet.

        Raises:
            StorageError: If the folder cannot be written.
        """
        if self._rows:
            content = io.BytesIO()
            columns = zip(Row._fields, zip(*self._rows, strict=True), strict=True)
            arrays: dict[str, Any] = {name: np.stack(column) for name, column in columns}
            np.savez(content, **arrays)
            with storing(self._folder):
                atomic.write_bytes(self._path(self._first), content.getvalue())
            self._first += len(self._rows)
            self._rows = []
        self._since = time.monotonic()

    def discard(self) -> None:
        """Delete it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:08d}.npz"

    def _block(self, first: int) -> list[Row] | None:
        """Return the rows of a block; None where there is none, or none that can be trusted."""
        try:
            # A zip archive: every byte is covered by its checksums.
            content = io.BytesIO(self._path(first).read_bytes())
            with np.load(content, allow_pickle=False) as columns:
                rows = zip(*(columns[name] for name in Row._fields), strict=True)
                return [Row(image, label, spacing, str(key)) for image, label, spacing, key in rows]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

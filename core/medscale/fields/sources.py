"""One source's folder in a field store: its blocks, who fills it and who writes to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from medscale.fields.blocks import Block, DamagedBlockError, is_committed, read_block, save_block
from medscale.locks import process_lock


class SourceFolder:
    """The blocks of one source.

    Args:
        root: The store's folder.
        source: Key of the moving image.
    """

    def __init__(self, root: Path, source: str) -> None:
        self.path = root / "sources" / source
        self._root = root
        self._blocks: dict[str, Block] = {}
        self._index: dict[str, tuple[Block, int]] = {}

    def folders(self) -> list[Path]:
        """Return the folders of all blocks, damaged ones included, sorted."""
        return [self.path / name for name in visible(self.path)]

    def blocks(self) -> dict[str, Block]:
        """Return the committed blocks by name, as the disk has them now.

        Raises:
            DamagedBlockError: If what a block says of itself has changed.
        """
        blocks = {}
        for folder in self.folders():
            if folder.name in self._blocks:
                # The name is the hash of the content: what was read of it stays true.
                blocks[folder.name] = self._blocks[folder.name]
            elif is_committed(folder):
                blocks[folder.name] = self.read(folder)
        if blocks.keys() != self._blocks.keys():
            self._blocks = blocks
            self._index = _index(blocks)
        return blocks

    def index(self) -> Mapping[str, tuple[Block, int]]:
        """Return the block and the row that serve each target, as the disk has it now.

        Where two blocks hold a pair, a code wins over a failure, and then the block whose name
        comes first: what is read depends on what is stored, not on who wrote it when.

        Raises:
            DamagedBlockError: If what a block says of itself has changed.
        """
        self.blocks()
        return self._index

    def read(self, folder: Path) -> Block:
        """Read what a block of this source is about.

        Raises:
            DamagedBlockError: If it has changed, or is of another source.
        """
        block = read_block(folder)
        if block.source != self.path.name:
            raise DamagedBlockError(folder, f"is of the source {block.source}", folder)
        return block

    def save(self, name: str, files: Mapping[str, bytes]) -> None:
        """Commit a block; a whole one that is there stays.

        Raises:
            OSError: If the disk is full, read-only or forbidden.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock("write"):
            self._remove_temporary()
            save_block(files, self.path / name)

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold the source for filling; yields False where another process does.

        Raises:
            OSError: If the disk is full, read-only or forbidden.
        """
        claim = self._lock("claim")
        try:
            claim.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            self._tidy()
            yield True
        finally:
            claim.release()

    def _tidy(self) -> None:
        """Remove what killed writers left, unless somebody writes just now."""
        try:
            with self._lock("write").acquire(timeout=0):
                self._remove_temporary()
        except Timeout:
            pass

    def _remove_temporary(self) -> None:
        # Whoever holds the write lock is the only writer: what lies here is of the dead.
        for path in self.path.glob(".*.tmp-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _lock(self, purpose: str) -> FileLock:
        return store_lock(self._root, f"{self.path.name}.{purpose}")


def store_lock(root: Path, name: str) -> FileLock:
    """Return a lock of a store, which ends with the process that holds it."""
    locks = root / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return process_lock(locks / name)


def visible(folder: Path) -> list[str]:
    """Return the sorted names in a folder, which need not exist, but for temporary ones."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _index(blocks: Mapping[str, Block]) -> dict[str, tuple[Block, int]]:
    index: dict[str, tuple[Block, int]] = {}
    for failures in (False, True):
        for _, block in sorted(blocks.items()):
            for row in np.flatnonzero(block.failed == failures):
                index.setdefault(block.targets[row], (block, int(row)))
    return index

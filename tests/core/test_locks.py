"""Locks end with their process, or there are none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from medscale.data.sets import locked
from medscale.errors import StorageError, storing
from medscale.locks import process_lock
from medscale.study.runstore import RunStore


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system as a cluster may have it: Lustre that is mounted without flock."""

    def flock(*_: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_one_holds_it(tmp_path: Path) -> None:
    with process_lock(tmp_path / "lock"), pytest.raises(Timeout):
        process_lock(tmp_path / "lock").acquire(timeout=0)
    with process_lock(tmp_path / "lock"):
        pass


@pytest.mark.usefixtures("without_locks")
def test_no_file_takes_the_place_of_a_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not implemented"):
        process_lock(tmp_path / "lock").acquire(timeout=0)


@pytest.mark.usefixtures("without_locks")
def test_a_run_and_a_set_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore(tmp_path / "run")
    said = "this file system has no locks; mount it with them or choose another folder"
    with pytest.raises(StorageError, match=said), storing(store.folder), store.coordinating():
        raise AssertionError
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    with pytest.raises(StorageError, match=r"no locks; .* set MEDSCALE_DATA to"), locked("acdc"):
        raise AssertionError

"""Who works on what of a run folder ends with its process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.dialogue import go, line, start

from medscale import atomic
from medscale.errors import StoreError
from medscale.study.runstore import RunStore

_HOLD = """
import sys
from pathlib import Path
from medscale.study.runstore import RunStore
store = RunStore(Path(sys.argv[1]))
if sys.argv[2] == "folder":
    with store.coordinating():
        print("held", flush=True)
        sys.stdin.read()
else:
    with store.claim(sys.argv[2]) as mine:
        print("held" if mine else "taken", flush=True)
        sys.stdin.read()
"""

_RACE = """
import sys
from pathlib import Path
from medscale.study.runstore import RunStore
store = RunStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for index in range(60):
    key = f"key{index}"
    with store.claim(key) as mine:
        if not mine or store.is_done(key):
            continue
        with open(store.folder / "log", "a") as log:
            log.write(key + "\\n")
        folder = store.trial_folder(key)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
"""


@contextmanager
def _held(folder: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a claim, or the folder, until the block ends."""
    with start("-c", _HOLD, str(folder), what) as process:
        try:
            assert line(process) == "held"
            yield process
        finally:
            process.kill()


def test_a_claim_excludes_other_processes_and_ends_with_its_own(store: RunStore) -> None:
    with _held(store.folder, "key") as process:
        with store.claim("key") as mine:
            assert not mine
        with store.claim("another key") as mine:
            assert mine
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        with store.claim("key") as mine:
            assert mine


def test_a_claim_excludes_this_process_too(store: RunStore) -> None:
    with store.claim("key") as mine, store.claim("key") as again:
        assert mine
        assert not again
    with store.claim("key") as mine:
        assert mine


def test_a_claim_ends_with_an_error(store: RunStore) -> None:
    with pytest.raises(RuntimeError, match="crash"), store.claim("key"):
        raise RuntimeError("crash")
    with store.claim("key") as mine:
        assert mine


def test_racing_workers_do_each_trial_once(store: RunStore) -> None:
    racers = [start("-c", _RACE, str(store.folder)) for _ in range(2)]
    assert [line(racer) for racer in racers] == ["ready"] * 2
    for racer in racers:
        go(racer)
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0
    done = (store.folder / "log").read_text().split()
    assert sorted(done) == sorted(f"key{index}" for index in range(60))


def test_one_coordinator_at_a_time(store: RunStore) -> None:
    with (
        _held(store.folder, "folder"),
        pytest.raises(StoreError, match="another medscale is running"),
        store.coordinating(),
    ):
        pass
    # It was killed, and with it its lock.
    with store.coordinating():
        pass


def test_tidying_leaves_what_another_process_holds(store: RunStore) -> None:
    with store.claim("ended"):
        pass
    with _held(store.folder, "key"):
        atomic.write_json(store.work / "document.json", {})
        assert store.is_claimed("key")
        assert not store.is_claimed("ended")
        assert not store.is_claimed("never")
        store.tidy()
        assert [path.name for path in store.work.rglob("*")] == ["claims", "key"]
        with store.claim("key") as mine:
            assert not mine
    assert not store.is_claimed("key")
    store.tidy()
    assert not store.work.exists()

"""Processes that fill one field store together, and processes that are killed while they do."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests import dialogue
from tests.dialogue import go, line

from medscale.errors import StoreError
from medscale.fields.store import FieldStore

COUNT = 16
BLOCKS = 4 * COUNT
POOL = {f"{number:032x}": f"case{number}" for number in range(COUNT)}
IDENTITY = {"registrar": "toy"}

_TOY = f"""
import os, signal, sys, traceback
from pathlib import Path
import numpy as np
from medscale.fields.store import FieldStore

POOL = {{f"{{number:032x}}": f"case{{number}}" for number in range({COUNT})}}

def registered(source, targets):
    codes = np.stack([
        np.random.default_rng([int(source, 16), int(target, 16)]).standard_normal((2, 8, 8))
        for target in targets
    ])
    codes[[int(target, 16) % 7 == 0 for target in targets]] = np.nan
    return codes

def blocks(source):
    others = [key for key in POOL if key != source]
    return [others[start : start + 4] for start in range(0, len(others), 4)]

def fill(store, source):
    wanted = [targets for targets in blocks(source) if store.missing(source, targets)]
    for targets in wanted:
        store.add(source, targets, registered(source, targets), {{"ssd": np.ones(len(targets))}})
    return len(wanted)

store = FieldStore(Path(sys.argv[1]), identity={{"registrar": "toy"}}, pool=POOL)
"""

_FILL = """
print("ready", flush=True)
sys.stdin.readline()
added = 0
for source in POOL:
    with store.claim(source) as mine:
        added += fill(store, source) if mine else 0
print(added)
"""

_RUSH = """
print("ready", flush=True)
sys.stdin.readline()
for source in list(POOL)[:6]:
    for targets in blocks(source):
        store.add(source, targets, registered(source, targets), {"ssd": np.ones(len(targets))})
"""

_HOLD = """
with store.claim(next(iter(POOL))) as mine:
    print("held" if mine else "taken", flush=True)
    sys.stdin.readline()
"""

_DIE_EVERYWHERE = """
SOURCE, *OTHERS = list(POOL)[:8]
FATAL = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fsync"}

def blocks(source):
    return [OTHERS[:4], OTHERS[4:]]

def die_at(moment):
    seen = 0
    def count(event, arguments):
        nonlocal seen
        if event in FATAL:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sync = os.fsync
    def fsync(descriptor):
        count("fsync", ())
        sync(descriptor)
    os.fsync = fsync
    sys.addaudithook(count)

def child(act):
    process = os.fork()
    if process == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def fill_and_die():
    global store
    die_at(moment)
    with store.claim(SOURCE) as mine:
        assert mine
        fill(store, SOURCE)

def look():
    # Before anything is mended.
    assert store.verify() == [], store.verify()
    for targets in blocks(SOURCE):
        missing = store.missing(SOURCE, targets)
        assert missing in ([], targets)
        if not missing:
            expected = registered(SOURCE, targets)
            read = store.read(SOURCE, targets)
            assert np.array_equal(read.failed, np.isnan(expected).all(axis=(1, 2, 3)))
            assert np.allclose(read.codes, expected, atol=0.01, equal_nan=True)
    with store.claim(SOURCE) as mine:
        assert mine
        fill(store, SOURCE)
    assert store.verify() == [] and store.info().pairs == len(OTHERS)
    assert not list(store.root.rglob(".*"))

moment, status = 0, -signal.SIGKILL
while status == -signal.SIGKILL:
    moment += 1
    # This process itself never starts Zarr, whose threads no fork should meet.
    store = FieldStore(Path(sys.argv[1], str(moment)), identity={"registrar": "toy"}, pool=POOL)
    status = child(fill_and_die)
    assert child(look) == 0, f"moment {moment}"
assert status == 0, status
print(moment)
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    """Start a program that gets the folder of the store."""
    return dialogue.start("-c", _TOY + code, str(folder))


def open_store(folder: Path) -> FieldStore:
    return FieldStore(folder, identity=IDENTITY, pool=POOL)


def contents(folder: Path, sources: int = COUNT) -> dict[str, bytes]:
    """Return every file but locks: those of killed writers too."""
    root = open_store(folder).root
    wanted = list(POOL)[:sources]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for source in wanted
        for path in sorted((root / "sources" / source).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one undisturbed process has filled."""
    folder = tmp_path_factory.mktemp("whole")
    with start(_FILL, folder) as process:
        assert line(process) == "ready"
        go(process)
        assert int(line(process)) == BLOCKS
    assert process.returncode == 0
    assert open_store(folder).verify() == []
    assert open_store(folder).info().pairs == COUNT * (COUNT - 1)
    return folder


def test_a_killed_filler_leaves_nothing_half_true(whole: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    folder, kills, amid = tmp_path / "0", 0, 0
    everything = contents(whole)
    while kills < 24:
        with start(_FILL, folder) as process:
            assert line(process) == "ready"
            go(process)
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        store = open_store(folder)
        assert store.verify() == []
        written = {
            name: data for name, data in contents(folder).items() if Path(name).parts[-2][0] != "."
        }
        assert written.items() <= everything.items()
        for source in POOL:
            targets = [key for key in POOL if key != source]
            absent = store.missing(source, targets)
            if absent:
                with pytest.raises(StoreError, match="run `medscale register`"):
                    store.read(source, targets)
        if process.returncode == 0:
            folder = tmp_path / str(kills + 1)
            continue
        kills += 1
        amid += 0 < len(written) < len(everything)
    assert amid >= 10  # most of them died while there was something to lose
    with start(_FILL, folder) as process:
        assert line(process) == "ready"
        go(process)
        process.wait()
    assert process.returncode == 0
    assert contents(folder) == everything


def test_a_filler_may_die_before_any_step_on_files(tmp_path: Path) -> None:
    with start(_DIE_EVERYWHERE, tmp_path) as process:
        moments = line(process)
    assert process.returncode == 0
    assert int(moments) > 30


def test_two_fillers_share_the_work_and_make_what_one_makes(whole: Path, tmp_path: Path) -> None:
    with start(_FILL, tmp_path) as one, start(_FILL, tmp_path) as two:
        assert line(one) == line(two) == "ready"
        go(one)
        go(two)
        assert int(line(one)) + int(line(two)) == BLOCKS
    assert (one.returncode, two.returncode) == (0, 0)
    assert contents(tmp_path) == contents(whole)


def test_writers_of_the_same_blocks_do_each_other_no_harm(whole: Path, tmp_path: Path) -> None:
    with start(_RUSH, tmp_path) as one, start(_RUSH, tmp_path) as two:
        assert line(one) == line(two) == "ready"
        go(one)
        go(two)
        one.wait()
        two.wait()
    assert (one.returncode, two.returncode) == (0, 0)
    assert contents(tmp_path) == contents(whole, sources=6)


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    store, source = open_store(tmp_path), next(iter(POOL))
    with start(_HOLD, tmp_path) as process:
        assert line(process) == "held"
        with store.claim(source) as mine:
            assert not mine
        process.kill()
    with store.claim(source) as mine:
        assert mine

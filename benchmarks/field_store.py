"""What the field store costs: codes per second from a warm store, and room on the disk.

    python -m benchmarks.field_store [--sources 16] [--targets 64] [--code 2 32 32]

Fills a store with random codes, block by block, opens it anew and reads every pair several times:
whole sources at once, as an augmenter does that keeps what it read, and single pairs in random
order, the worst case (each costs a block). Reading checks every byte. Room is that of all files
together, beside float32 displacements of the same pairs at the image's shape. Last, what rounding
in the store does to the displacements of registered phantoms. One thread.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medscale.fields.store import FieldStore
from medscale.identity import array_key
from medscale.protocols import PluginContext
from medscale.registry import default_registry
from medscale.study.construction import construct

LEAST_CODES_PER_SECOND = 5000
LARGEST_SHARE = 0.05
LARGEST_ERROR = 0.05
"""Mean of a displacement that went through the store, pixels."""


@dataclass
class Spent:
    """Seconds of CPU and of the clock."""

    cpu: float = 0.0
    wall: float = 0.0


def main() -> int:
    """Measure, print, and return 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sources", type=int, default=16)
    parser.add_argument("--targets", type=int, default=64, help="of each source")
    parser.add_argument("--block", type=int, default=16, help="targets in a block")
    parser.add_argument("--code", type=int, nargs="+", default=[2, 32, 32])
    parser.add_argument("--image", type=int, nargs="+", default=[256, 256])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    code, image, block = tuple(arguments.code), tuple(arguments.image), arguments.block
    count = max(arguments.sources, arguments.targets + 1)
    pool = {array_key(np.array(number)): f"case{number}" for number in range(count)}
    pairs = {
        source: [target for target in pool if target != source][: arguments.targets]
        for source in list(pool)[: arguments.sources]
    }
    total = sum(map(len, pairs.values()))
    print(f"{total} pairs, codes {code}, blocks of {block}")
    with tempfile.TemporaryDirectory() as folder:

        def opened() -> FieldStore:
            return FieldStore(Path(folder), identity={"registrar": "random"}, pool=pool)

        fill(opened(), pairs, code, block)
        rate = read_sources(opened, pairs, arguments.repeats)
        read_singly(opened(), pairs)
        share = room(opened(), total, image)
        error = reconstruction(Path(folder) / "registered", image)
    missed = rate < LEAST_CODES_PER_SECOND or share > LARGEST_SHARE or error > LARGEST_ERROR
    return int(missed)


def fill(store: FieldStore, pairs: dict[str, list[str]], code: tuple[int, ...], block: int) -> None:
    """Add random codes, and print what that costs."""
    generator = np.random.default_rng(0)
    spent, blocks = Spent(), 0
    for source, targets in pairs.items():
        for start in range(0, len(targets), block):
            some = targets[start : start + block]
            codes = generator.standard_normal((len(some), *code)).astype(np.float32)
            quality = {
                name: generator.random(len(some)) for name in ("similarity", "folds", "energy")
            }
            with timed(spent):
                store.add(source, some, codes, quality)
            blocks += 1
    cpu, wall = 1000 * spent.cpu / blocks, 1000 * spent.wall / blocks
    print(f"write: {cpu:.2f} ms CPU, {wall:.2f} ms a block")


def read_sources(
    opened: Callable[[], FieldStore], pairs: dict[str, list[str]], repeats: int
) -> float:
    """Read all pairs source by source; print and return the median codes per second (clock)."""
    total = sum(map(len, pairs.values()))
    first: list[Spent] = []
    later: list[Spent] = []
    for _ in range(repeats):
        store = opened()
        for rounds in (first, later):
            spent = Spent()
            with timed(spent):
                for source, targets in pairs.items():
                    store.read(source, targets)
            rounds.append(spent)
    for name, rounds in (("just opened", first), ("open", later)):
        cpu = total / statistics.median(spent.cpu for spent in rounds)
        wall = total / statistics.median(spent.wall for spent in rounds)
        print(f"read, store {name}: {cpu:,.0f} codes per CPU second, {wall:,.0f} per second")
    print(f"the limit is {LEAST_CODES_PER_SECOND:,} codes per second")
    return total / statistics.median(spent.wall for spent in first)


def read_singly(store: FieldStore, pairs: dict[str, list[str]], most: int = 1000) -> None:
    """Read pairs one by one in random order and print codes per second."""
    single = [(source, target) for source, targets in pairs.items() for target in targets]
    chosen = np.random.default_rng(1).permutation(len(single))[:most]
    spent = Spent()
    with timed(spent):
        for number in chosen:
            source, target = single[number]
            store.read(source, [target])
    print(f"read, one pair a call: {len(chosen) / spent.cpu:,.0f} codes per CPU second")


def room(store: FieldStore, total: int, image: tuple[int, ...]) -> float:
    """Print and return the share of the room that displacements would take."""
    displacements = total * len(image) * math.prod(image) * np.dtype(np.float32).itemsize
    apparent = sum(
        os.lstat(os.path.join(path, name)).st_size
        for path, _, files in os.walk(store.root)
        for name in files
    )
    on_disk = store.info().bytes
    print(
        f"room: {apparent:,} bytes in files, {on_disk:,} on the disk (folders and locks included)"
    )
    print(f"float32 displacements {image}: {displacements:,} bytes")
    share = on_disk / displacements
    print(f"share: {apparent / displacements:.2%} in files, {share:.2%} on the disk")
    print(f"the limit is {LARGEST_SHARE:.0%}")
    return share


def reconstruction(folder: Path, image: tuple[int, ...], count: int = 16) -> float:
    """Print and return the mean error in pixels of displacements whose codes were stored.

    Codes are those of the default registrar, between phantoms and what a known map makes of them.
    """
    from benchmarks.registration_pairs import phantom_pairs

    plugin = default_registry().load("registrar", "lddmm")
    registrar, identity = construct(plugin, {}, "lddmm", PluginContext())
    pairs = phantom_pairs(count)
    codes = registrar.register(moving=pairs.moving, fixed=pairs.fixed)
    pool = {array_key(np.array(number)): f"case{number}" for number in range(count + 1)}
    source, *targets = pool
    store = FieldStore(folder, identity=identity.model_dump(mode="json"), pool=pool)
    store.add(source, targets, codes.numpy(), {})
    stored = torch.from_numpy(store.read(source, targets).codes)
    true, kept = (registrar.displacement(codes=each, shape=image) for each in (codes, stored))
    off, length = (field.norm(dim=1).mean() for field in (kept - true, true))
    print(f"displacement through the store: off by {off:.4f} px on average, of {length:.2f} px")
    print(f"the limit is {LARGEST_ERROR} px")
    return float(off)


@contextmanager
def timed(spent: Spent) -> Iterator[None]:
    """Add what passes meanwhile."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    spent.cpu += time.process_time() - cpu
    spent.wall += time.perf_counter() - wall


if __name__ == "__main__":
    raise SystemExit(main())

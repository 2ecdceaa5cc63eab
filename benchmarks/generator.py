"""How long a generator trains, whether what it makes folds, and how fast augmented samples come.

    pip install -c constraints.txt -e .[bench]
    python -m benchmarks.generator

Run it from the repository's root; it takes one core. Two generators, one for each parameterization
of `gen`, learn from 60 phantoms at 96². Prints three Markdown tables, or one of them (`--only`):

- training: seconds by the clock, and of the CPU in brackets, of registration, which is shared, so
  that only the first generator has it, and of training; and what the generator says of itself.
- folds: of 1,000 samples at full extent, on the image's own grid, the share of pixels with
  det ∇φ ≤ 0, the samples that have any, and the least det ∇φ.
- rates: samples per CPU second at 256², image and mask, end to end (draw, compose with the affine
  map and flips of the baseline, resample once, shift intensities), beside MONAI's Rand2DElasticd,
  which does its elastic part only, one sample at a time. Methods take turns as in
  `benchmarks.augmentation`. The generators are those of the other tables: what they make is a share
  of the image's size.

With `--cache` registrations and generators are kept, and those that are there are not timed.
Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmarks.augmentation import MONAI, batch_from, best_seconds, make_peers, use_one_thread
from benchmarks.phantoms import phantoms

from medscale.executors.process import MEMORY_SETTINGS
from medscale.fields.jacobian import jacobian_determinant
from medscale.protocols import Augmenter, Batch, PluginContext, PoolView
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale.training.augmentation import at_shape, augment
from medscale.training.options import AugmentationOptions

PARAMETERIZATIONS = ("momentum", "displacement")
SIZE = 96
LARGE = 256
BATCH = 8


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=60, help="of the pool")
    parser.add_argument("--iterations", type=int, default=1500, help="of training")
    parser.add_argument("--samples", type=int, default=1000, help="searched for folds")
    parser.add_argument("--only", choices=["training", "folds", "rates"], help="one of the tables")
    parser.add_argument("--cache", type=Path, help="folder to keep what was learned in")
    arguments = parser.parse_args()
    wanted = {**MEMORY_SETTINGS, "OMP_NUM_THREADS": "1"}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # They are read when the process starts.
        again = [sys.executable, "-m", "benchmarks.generator", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **wanted})
    use_one_thread()
    view = phantoms(arguments.images, SIZE)
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        learned = [learn(name, view, cache, arguments.iterations) for name in PARAMETERIZATIONS]
    if arguments.only in (None, "training"):
        print_training(learned)
    if arguments.only in (None, "folds"):
        print_folds(learned, batch_from(view, BATCH), arguments.samples)
    if arguments.only in (None, "rates"):
        print_rates(learned, phantoms(len(view.subset), LARGE))


@dataclass(frozen=True)
class Learned:
    """A generator that was trained, and how long that took.

    Attributes:
        name: Its parameterization.
        whole: The arm, at full extent.
        usual: The arm with its default extents.
        registration: Seconds by the clock and of the CPU; None where pairs were there.
        training: The same of training; None where the generator was there.
    """

    name: str
    whole: Any
    usual: Any
    registration: tuple[float, float] | None
    training: tuple[float, float] | None


def learn(name: str, view: PoolView, cache: Path, iterations: int) -> Learned:
    """Train a generator, or read it."""
    begun = now()
    starts: dict[str, tuple[float, float]] = {}
    told: set[tuple[str, int]] = set()

    def progress(what: str, share: float) -> None:
        starts.setdefault(what, now())
        tenths = int(10 * share)
        if (what, tenths) not in told:
            told.add((what, tenths))
            say(f"{name}: {what} {10 * tenths} %")

    def arm(**extents: float) -> Any:
        options = {"parameterization": name, "training": {"iterations": iterations}, **extents}
        plugin = default_registry().load("augmenter", "gen")
        context = PluginContext(cache=cache, log=say, progress=progress)
        augmenter, _ = construct(plugin, options, "gen", context)
        augmenter.fit(view)
        return augmenter

    whole = arm(extent_min=1.0)
    ended = now()
    trained = starts.get("generator")
    return Learned(
        name,
        whole,
        arm(),
        since(begun, trained) if trained and "registration" in starts else None,
        since(trained, ended) if trained else None,
    )


def now() -> tuple[float, float]:
    """Return seconds by the clock and of the CPU."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds from one time to another."""
    return end[0] - start[0], end[1] - start[1]


def say(message: str) -> None:
    """Tell how far it is."""
    print(message, file=sys.stderr, flush=True)


def print_training(learned: Iterable[Learned]) -> None:
    """Print the first table."""

    def seconds(spent: tuple[float, float] | None) -> str:
        return f"{spent[0]:.1f} ({spent[1]:.1f})" if spent else "–"

    facts = ("pairs", "used", "components", "variance kept", "spread", "length")
    rows = []
    for each in learned:
        described = each.whole.describe()
        cells = [f"{described[fact]:.4g}" for fact in facts]
        rows.append([each.name, seconds(each.registration), seconds(each.training), *cells])
    print_table(["training", "registration, s (CPU)", "training, s (CPU)", *facts], rows)


def print_folds(learned: Iterable[Learned], batch: Batch, samples: int) -> None:
    """Print the second table."""
    rows = []
    for each in learned:
        least: list[torch.Tensor] = []
        folded = pixels = 0
        generator = torch.Generator().manual_seed(0)
        while BATCH * len(least) < samples:
            field = each.whole.displacements(batch, generator)
            determinant = jacobian_determinant(at_shape(field, tuple(batch.images.shape[2:])))
            folded += int((determinant <= 0).sum())
            pixels += determinant.numel()
            least.append(determinant.flatten(1).amin(1))
        every = torch.cat(least)
        share, some = f"{folded / pixels:.4%}", f"{int((every <= 0).sum())} of {len(every)}"
        rows.append([each.name, share, some, f"{float(every.min()):.3f}"])
        say(f"{each.name}: {len(every)} samples searched for folds")
    heads = ["folds", f"pixels that fold at {SIZE}²", "samples that fold", "least det ∇φ"]
    print_table(heads, rows)


def print_rates(learned: Iterable[Learned], view: PoolView) -> None:
    """Print the third table."""
    arms: Mapping[str, Sequence[Augmenter]] = {"none": []} | {
        f"gen, {each.name}": [each.usual] for each in learned
    }
    baseline, generator = AugmentationOptions(), torch.Generator().manual_seed(0)
    batches = {count: batch_from(view, count) for count in (BATCH, 1)}
    methods: dict[str, Callable[[], Any]] = {
        f"{name} × {count}": partial(augment, batch, arm, baseline, generator)
        for name, arm in arms.items()
        for count, batch in batches.items()
    }
    one = batches[1]
    methods[MONAI] = make_peers(one.images[0].numpy(), one.masks[0].numpy())[MONAI]
    say(f"rates at {LARGE}²: {len(methods)} methods in turn")
    spent = best_seconds(methods, 0.2)
    monai = 1 / spent[MONAI]
    rates = {name: [count / spent[f"{name} × {count}"] for count in batches] for name in arms}
    rows = [
        [name, *(f"{rate:.0f} ({rate / monai:.1f} ×)" for rate in row)]
        for name, row in rates.items()
    ]
    rows.append([MONAI, "", f"{monai:.0f}"])
    heads = [f"samples per CPU s at {LARGE}²", *(f"in batches of {count}" for count in batches)]
    print_table(heads, rows)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


if __name__ == "__main__":
    main()

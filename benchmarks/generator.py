"""How long a generator takes to train, whether it folds, and how varied it is.

    python benchmarks/generator.py

Prints a Markdown table, a row for each parameterization of `gen`: CPU seconds of registration and
of training on a pool of phantoms, folded pixels and the least det ∇φ of 1,000 samples at full
extent on the image's grid, what the generator says of itself, and CPU milliseconds a sample takes.
Registrations are shared, so only the first row has them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from medscale.fields.jacobian import jacobian_determinant
from medscale.protocols import Batch, Dataset, PluginContext, PoolView
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale.training.augmentation import at_shape

SAMPLES = 1000
BATCH = 8


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--iterations", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    view = phantoms(arguments.images, arguments.size)
    training = {"iterations": arguments.iterations} if arguments.iterations else {}
    heads = (
        *("parameterization", "registration, CPU s", "training, CPU s", "folded pixels"),
        *("least det ∇φ", "spread", "length", "variance kept", "CPU ms a sample"),
    )
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    with tempfile.TemporaryDirectory() as cache:
        for parameterization in ("momentum", "displacement"):
            row = measure(view, Path(cache), parameterization, training)
            print(f"| {parameterization} | {' | '.join(row)} |", flush=True)


def phantoms(count: int, size: int) -> PoolView:
    """Return a pool of phantoms of different people, eight of them annotated."""
    plugin = default_registry().load("dataset", "phantom")
    dataset: Dataset = construct(
        plugin, {"subjects": count, "size": size}, "phantom", PluginContext()
    )[0]
    images = torch.stack(
        [torch.as_tensor(dataset.load(case).image).float() for case in dataset.cases()]
    )
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    images = (images - low) / (high - low)
    subset = tuple(range(min(8, count)))
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(count),
        names=tuple(case.id for case in dataset.cases()),
        subset=subset,
        masks=torch.zeros(len(subset), 1, size, size),
        positions=torch.full((count,), math.nan),
        content="",
        seed=0,
    )


def measure(
    view: PoolView, cache: Path, parameterization: str, training: dict[str, Any]
) -> list[str]:
    """Return the cells of a row."""
    begun = time.process_time()
    registered: list[float] = []

    def progress(what: str, share: float) -> None:
        if what == "generator" and not registered:
            registered.append(time.process_time())

    options = {"parameterization": parameterization, "extent_min": 1.0, "training": training}
    plugin = default_registry().load("augmenter", "gen")
    augmenter, _ = construct(plugin, options, "gen", PluginContext(cache=cache, progress=progress))
    augmenter.fit(view)
    ended = time.process_time()
    images = view.take([view.subset[i % len(view.subset)] for i in range(BATCH)])
    batch = Batch(images, images, view.indices[[i % len(view.subset) for i in range(BATCH)]])
    generator = torch.Generator().manual_seed(0)
    folded, least, spent = 0.0, math.inf, 0.0
    for _ in range(SAMPLES // BATCH):
        since = time.process_time()
        field = augmenter.displacements(batch, generator)
        spent += time.process_time() - since
        determinant = jacobian_determinant(at_shape(field, tuple(images.shape[2:])))
        folded += float((determinant <= 0).float().mean()) * BATCH / SAMPLES
        least = min(least, float(determinant.min()))
    facts = augmenter.describe()
    return [
        f"{registered[0] - begun:.0f}",
        f"{ended - registered[0]:.0f}",
        f"{folded:.4%}",
        f"{least:.3f}",
        *(f"{facts[name]:.2f}" for name in ("spread", "length", "variance kept")),
        f"{1e3 * spent / SAMPLES:.2f}",
    ]


if __name__ == "__main__":
    main()

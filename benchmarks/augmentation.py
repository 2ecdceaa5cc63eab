"""How fast augmented samples come, beside MONAI, TorchIO, albumentations and the least possible.

    pip install -c constraints.txt -e .[bench]
    python -m benchmarks.augmentation --arms none,red,reg,gen --set gen.training.iterations=300

Prints two Markdown tables. The first has samples per CPU second on one thread, image (float32) and
mask together, and in brackets the share of "bare": `grid_sample` of image and mask, stacked, at a
grid that lies ready. Every arm of `--arms` is measured end to end: draw, compose with the affine
map and flips of the baseline, resample once, shift intensities. Arms have learned from phantoms,
each of which has deformations; those with an option `prob` deform every sample, unless `--set` says
otherwise. "ready" is an arm whose displacements lie ready on a coarse grid: what is left for making
them. The peers do their elastic part only, without flips, affine map and intensities, one sample at
a time; MONAI's Rand2DElasticd with the options of `red`. The second table has the share of a
training step (augmentation, forward, backward, optimiser) that goes into augmentation.

Methods take turns, block by block, and the best block of each counts, so that a busy machine harms
all alike. The process runs with the memory settings of the workers of `medscale run`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.phantoms import phantoms
from torch import Tensor

from medscale.config import parse_settings
from medscale.executors.process import MEMORY_SETTINGS
from medscale.fields.interpolation import resized
from medscale.fields.warp import affine_then
from medscale.protocols import Augmenter, Batch, PluginContext, PoolView
from medscale.registry import default_registry
from medscale.seeding import seeded_torch
from medscale.study.construction import construct
from medscale.training.augmentation import augment, draw
from medscale.training.losses import loss
from medscale.training.options import AugmentationOptions, TrainingOptions

ROUNDS = 6
POOL = 24
MONAI = "MONAI Rand2DElasticd"
BARE = "bare: image + mask stacked, linear"
STEPS = ((32, 128), (8, 96))
"""Widths of res_unet, with the size of the images."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arms", default="none,red", help="augmenters, comma-separated")
    parser.add_argument("--set", action="append", default=[], metavar="ARM.OPTION=VALUE")
    parser.add_argument("--shapes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 8, 1])
    parser.add_argument("--seconds", type=float, default=0.1, help="of a block")
    parser.add_argument("--only", choices=["rates", "steps"], help="one of the tables")
    arguments = parser.parse_args()
    wanted = {**MEMORY_SETTINGS, "OMP_NUM_THREADS": "1"}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # They are read when the process starts.
        again = [sys.executable, "-m", "benchmarks.augmentation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **wanted})
    use_one_thread()
    options = {name: dict(values) for name, values in parse_settings(arguments.set).items()}
    names = arguments.arms.split(",")
    with tempfile.TemporaryDirectory() as cache:
        if arguments.only != "steps":
            columns = {}
            for size in arguments.shapes:
                for count in arguments.batches:
                    arms = make_arms(names, options, size, Path(cache))
                    columns[f"{size}² × {count}"] = rates(arms, size, count, arguments.seconds)
            print_rates(columns)
        if arguments.only != "rates":
            print_steps(names, options, Path(cache), arguments.seconds)


def use_one_thread() -> None:
    """Keep every library to one thread."""
    import cv2
    import SimpleITK

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def make_arms(
    names: list[str], options: Mapping[str, Mapping[str, Any]], size: int, cache: Path
) -> dict[str, Augmenter]:
    """Return the installed augmenters of those names, fitted to a pool of that size."""
    arms = {}
    for name in names:
        plugin = default_registry().load("augmenter", name)
        given = {"prob": 1.0} if "prob" in plugin.config.model_fields else {}
        context = PluginContext(cache=cache)
        arms[name], _ = construct(plugin, {**given, **options.get(name, {})}, name, context)
        arms[name].fit(phantoms(POOL, size))
    return arms


def batch_from(view: PoolView, count: int) -> Batch:
    """Return a batch of the annotated images, in turn."""
    rows = [view.subset[i % len(view.subset)] for i in range(count)]
    masks = torch.stack([view.masks[view.subset.index(row)] for row in rows])
    return Batch(view.take(rows), masks, view.indices[rows])


class Ready:
    """An arm whose displacements lie ready."""

    def __init__(self, field: Tensor) -> None:
        self._field = field

    def fit(self, view: PoolView) -> None:
        """Learn nothing."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Not used: core composes displacements itself."""
        raise NotImplementedError

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the field."""
        return self._field


def rates(arms: Mapping[str, Augmenter], size: int, count: int, seconds: float) -> dict[str, float]:
    """Return samples per CPU second by method, for batches of `count`."""
    shape, view = (size, size), phantoms(POOL, size)
    batch, baseline = batch_from(view, count), AugmentationOptions()
    generator = torch.Generator().manual_seed(0)
    coarse = 2 * torch.randn(count, 2, 8, 8, generator=generator)
    matrix = draw(count, 2, baseline, generator).matrix
    grid = affine_then(matrix, coarse, shape).dense().movedim(1, -1).contiguous()
    stacked = torch.cat([batch.images, batch.masks], dim=1)

    def separately() -> tuple[Tensor, Tensor]:
        return (
            F.grid_sample(batch.images, grid, align_corners=False),
            F.grid_sample(batch.masks, grid, mode="nearest", align_corners=False),
        )

    methods: dict[str, tuple[Callable[[], Any], int]] = {
        BARE: (lambda: F.grid_sample(stacked, grid, align_corners=False), count),
        "bare: image linear, mask nearest": (separately, count),
    }
    chains = {f"medscale {name}": arm for name, arm in arms.items()}
    for nodes in (32, 64):
        chains[f"medscale ready {nodes}²"] = Ready(resized(coarse, (nodes, nodes)))
    for name, arm in chains.items():
        methods[name] = (partial(augment, batch, [arm], baseline, generator), count)
    if count == 1:
        peers = make_peers(batch.images[0].numpy(), batch.masks[0].numpy())
        methods |= {name: (peer, 1) for name, peer in peers.items()}
    spent = best_seconds({name: method for name, (method, _) in methods.items()}, seconds)
    return {name: samples / spent[name] for name, (_, samples) in methods.items()}


def best_seconds(methods: Mapping[str, Callable[[], Any]], block: float) -> dict[str, float]:
    """Return the CPU seconds of one call of each method, of its best block."""
    best = dict.fromkeys(methods, float("inf"))
    for method in methods.values():
        method()
    for _ in range(ROUNDS):
        for name, method in methods.items():
            calls, started, spent = 0, time.process_time(), 0.0
            while spent < block:
                method()
                calls += 1
                spent = time.process_time() - started
            best[name] = min(best[name], spent / calls)
    return best


def make_peers(
    image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]
) -> dict[str, Callable[[], Any]]:
    """Return calls of the peers on an image and a mask, both (1, H, W) float32."""
    import albumentations
    import torchio
    from monai.transforms.spatial.dictionary import Rand2DElasticd, RandGridDistortiond

    keys = ["image", "mask"]
    modes: Any = ["bilinear", "nearest"]
    tensors: dict[Any, Any] = {"image": torch.from_numpy(image), "mask": torch.from_numpy(mask)}
    elastic = Rand2DElasticd(
        keys,
        spacing=(10, 10),
        magnitude_range=(1, 3),
        prob=1,
        mode=modes,
        padding_mode="zeros",
    )
    distortion = RandGridDistortiond(keys, prob=1, mode=modes, padding_mode="zeros")
    subject = torchio.Subject(
        image=torchio.ScalarImage(tensor=tensors["image"][..., None]),
        mask=torchio.LabelMap(tensor=tensors["mask"][..., None]),
    )
    # One slice: nothing may leave its plane.
    control = torchio.RandomElasticDeformation(max_displacement=(7.5, 7.5, 0))
    arrays = {"image": image[0], "mask": mask[0].astype(np.uint8)}
    calls: dict[str, Callable[[], Any]] = {
        MONAI: partial(elastic, tensors),
        "MONAI RandGridDistortiond": partial(distortion, tensors),
        "TorchIO RandomElasticDeformation": partial(control, subject),
    }
    for title, transform in {
        "ElasticTransform": albumentations.ElasticTransform(p=1),
        "ElasticTransform sigma 6": albumentations.ElasticTransform(alpha=120, sigma=6, p=1),
        "GridDistortion": albumentations.GridDistortion(p=1),
    }.items():
        calls[f"albumentations {title}"] = partial(transform, **arrays)
    return calls


def print_rates(columns: Mapping[str, Mapping[str, float]]) -> None:
    """Print the first table, and what is compared with MONAI."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    print(f"| samples per CPU s | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name in names:
        cells = [
            f"{column[name]:.0f} ({column[name] / column[BARE]:.0%})" if name in column else ""
            for column in columns.values()
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print()
    for title, column in columns.items():
        size = title.split()[0]
        monai = next(
            (c[MONAI] for t, c in columns.items() if t.split()[0] == size and MONAI in c), None
        )
        if monai is not None:
            ours = {name: rate / monai for name, rate in column.items() if "medscale" in name}
            shares = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ours.items())
            print(f"times {MONAI} at {title}: {shares}")
    print()


def print_steps(
    names: list[str], options: Mapping[str, Mapping[str, Any]], cache: Path, seconds: float
) -> None:
    """Print the second table."""
    training, baseline = TrainingOptions(), AugmentationOptions()
    plugin = default_registry().load("backbone", "res_unet")
    print("| step of 8 | arm | network, CPU ms | augmentation, CPU ms | share |")
    print("|---|---|---|---|---|")
    for width, size in STEPS:
        backbone, _ = construct(plugin, {"width": width}, "res_unet", PluginContext())
        with seeded_torch(0):
            network = backbone.build(in_channels=1, out_channels=1, spatial_shape=(size, size))
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        batch = batch_from(phantoms(POOL, size), 8)
        generator = torch.Generator().manual_seed(0)

        def step(
            network: torch.nn.Module = network,
            optimiser: torch.optim.Optimizer = optimiser,
            batch: Batch = batch,
        ) -> None:
            optimiser.zero_grad(set_to_none=True)
            loss(network(batch.images), batch.masks, training).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

        methods: dict[str, Callable[[], Any]] = {"network": step}
        for name, arm in make_arms(names, options, size, cache).items():
            methods[name] = partial(augment, batch, [arm], baseline, generator)
        spent = best_seconds(methods, seconds)
        for name in names:
            share = spent[name] / (spent[name] + spent["network"])
            print(
                f"| res_unet {width}, {size}² | {name} | {1e3 * spent['network']:.1f} | "
                f"{1e3 * spent[name]:.2f} | {share:.1%} |"
            )
    print()


if __name__ == "__main__":
    main()

"""What a trial costs: how much of it is network, and how it compares with MONAI's loaders.

    python benchmarks/training_cost.py

Prints two tables. The first splits the wall time of a trial, as `medscale run` runs it on a CPU
(one thread), into forward, backward and optimiser; augmentation; validation and test; the rest. The
second sets the same trial beside MONAI's own DynUNet (the network of `res_unet`) trained through
MONAI's `Dataset` and `DataLoader` with the same transforms, the same number of steps, validations
and test cases, with 0, 1 and 2 loader workers, in two ways: "files" reads, resizes and scales every
image at every step, as MONAI's tutorials write it; "memory" starts from prepared arrays. It comes
in wall seconds, in CPU seconds of all processes, and in CPU seconds of the main process alone: what
a trial would last on an idle machine with as many cores as loader workers, plus one.

Either side has a process of its own: medscale's with the environment that its executor gives
workers, the other with torch's defaults. They take turns, one trial at a time, so that whatever
else the machine does meets both. The best number of workers counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.networks.nets.dynunet import DynUNet
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandShiftIntensityd,
    ScaleIntensityRangePercentilesd,
)
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.post.dictionary import AsDiscreted
from monai.transforms.spatial.dictionary import Rand2DElasticd, RandAffined, RandFlipd, Resized
from monai.transforms.utility.dictionary import EnsureChannelFirstd
from PIL import Image
from torch.utils.data import RandomSampler

from medscale.data.cohort import Cohort
from medscale.data.options import SplitOptions
from medscale.executors.process import MEMORY_SETTINGS
from medscale.registry import default_registry
from medscale.seeding import seeded_torch
from medscale.study.config import StudyConfig
from medscale.study.plan import PlannedTrial
from medscale.study.resolve import resolve
from medscale.study.trial import StageTimer, run_trial, trial_rows
from medscale.training.budgets import learning_rate_factor, make_schedule
from medscale.training.initialisation import xavier
from medscale.training.losses import loss
from medscale.training.metrics import case_scores
from medscale.training.options import TrainingOptions

KEYS = ["image", "mask"]
MODES = ["bilinear", "bilinear"]
WAYS = [(source, workers) for source in ("memory", "files") for workers in (0, 1, 2)]

Times = dict[str, float]


def main() -> None:
    """Run the benchmark, or one side of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=100, help="optimiser steps of a trial")
    parser.add_argument("--shape", type=int, default=96)
    parser.add_argument("--width", type=int, default=8, help="of res_unet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=["medscale", "monai"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.side:
        serve(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        trials, cohort = study(arguments)
        write_files(cohort, arguments.folder)
        sides = {"medscale": start("medscale", folder), "monai": start("monai", folder)}
        print(
            f"1 thread, {arguments.steps} steps of 8, {arguments.shape}², "
            f"res_unet width {arguments.width}; medians of {arguments.repeats}\n"
        )
        ours: dict[tuple[str, int], Times] = {}
        theirs: dict[tuple[str, int], dict[tuple[str, int], Times]] = {}
        for number, trial in enumerate(trials):
            own, peer = [], []
            for _ in range(arguments.repeats):
                own.append(ask(sides["medscale"], number))
                peer.append([ask(sides["monai"], number, *way) for way in WAYS])
            key = trial.arm, trial.spec.size
            ours[key] = medians(own)
            theirs[key] = {
                way: medians([each[index] for each in peer]) for index, way in enumerate(WAYS)
            }
        for side in sides.values():
            side.communicate()
        print_shares(ours)
        for unit in ("wall", "cpu", "main"):
            print_comparison(ours, theirs, unit)


def study(arguments: argparse.Namespace) -> tuple[tuple[PlannedTrial, ...], Cohort]:
    """Return the trials and their cohort, from the cache where it is there."""
    config = StudyConfig.model_validate(
        {
            "dataset": "phantom",
            "tasks": "lv",
            "arms": "none,red",
            "backbones": "res_unet",
            "recipe": "segmentation",
            "sizes": tuple(arguments.sizes),
            "replicates": 1,
            "prepare": {"shape": arguments.shape},
            "split": SplitOptions(),
            "train": TrainingOptions(
                amount=arguments.steps, validations=max(1, arguments.steps // 50)
            ),
            "plugins": {"res_unet": {"width": arguments.width}},
        }
    )
    resolved = resolve(
        config,
        default_registry(),
        data=None,
        cache=arguments.folder,
        progress=lambda done, total: None,
        log=lambda line: None,
    )
    return resolved.trials, resolved.cohort


def start(side: str, folder: str) -> subprocess.Popen[str]:
    """Start the process of one side; it takes this process's options."""
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", folder],
        env=os.environ | settings | (MEMORY_SETTINGS if side == "medscale" else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(side: subprocess.Popen[str], *question: int | str) -> Times:
    """Let one side run one trial and return its seconds."""
    assert side.stdin is not None
    assert side.stdout is not None
    side.stdin.write(json.dumps(question) + "\n")
    side.stdin.flush()
    times: Times = json.loads(side.stdout.readline())
    return times


def serve(arguments: argparse.Namespace) -> None:
    """Run the trials that are asked for on standard input."""
    trials, cohort = study(arguments)
    way: list[Any] = [] if arguments.side == "medscale" else ["memory", 0]
    # Once for the imports and the first allocations, which no later trial pays for.
    run(trials[0], cohort, arguments.folder, *way)
    for line in sys.stdin:
        number, *way = json.loads(line)
        print(json.dumps(run(trials[number], cohort, arguments.folder, *way)), flush=True)


def run(trial: PlannedTrial, cohort: Cohort, folder: Path, *way: Any) -> Times:
    """Run a trial on the side whose process this is; return its wall, CPU and part times."""
    wall, cpu, main = time.perf_counter(), cpu_seconds(), time.process_time()
    parts = run_peer(trial, cohort, folder, *way) if way else run_ours(trial, cohort, folder)
    return {
        **parts,
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds() - cpu,
        "main": time.process_time() - main,
    }


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def medians(runs: list[Times]) -> Times:
    """Return the median of each time."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def run_ours(trial: PlannedTrial, cohort: Cohort, cache: Path) -> Times:
    """Run a trial as a worker does; return seconds by part."""
    record = run_trial(
        trial.spec,
        cohort,
        default_registry(),
        device="cpu",
        cache=cache,
        progress=lambda share, stage: None,
        preparing=lambda what, share: None,
        timer=StageTimer(),
    )
    parts = {name: record.timing[name] for name in ("network", "augmentation")}
    return {**parts, "scoring": record.timing["validation"] + record.timing["test"]}


def print_shares(ours: dict[tuple[str, int], Times]) -> None:
    """Print the first table."""
    print("arm    n   wall s   train net   augment   scoring   rest   all network")
    for (arm, size), parts in ours.items():
        share = {name: seconds / parts["wall"] for name, seconds in parts.items()}
        rest = 1 - share["network"] - share["augmentation"] - share["scoring"]
        print(
            f"{arm:5} {size:2}   {parts['wall']:6.2f}   {share['network']:8.1%}   "
            f"{share['augmentation']:7.1%}   {share['scoring']:7.1%}   {rest:4.1%}   "
            f"{share['network'] + share['scoring']:8.1%}"
        )
    print()


def write_files(cohort: Cohort, folder: Path) -> None:
    """Write images and masks as PNG at 128², the phantom's own size, for the peer to read."""
    from medscale.data.resample import resample

    masks = (cohort.labels == 3).astype(np.float32)
    for row in range(len(cohort.cases)):
        for name, pixels in (("image", cohort.images[row, 0]), ("mask", masks[row])):
            large = resample(pixels, (128, 128))
            grey = large * 255 if name == "image" else (large >= 0.5) * 255
            Image.fromarray(grey.astype(np.uint8)).save(folder / f"{name}{row}.png")


def print_comparison(
    ours: dict[tuple[str, int], Times],
    theirs: dict[tuple[str, int], dict[tuple[str, int], Times]],
    unit: str,
) -> None:
    """Print the second table, in one unit."""
    print(f"{unit:4} s            MONAI, workers")
    print("arm    n   medscale   from          0       1       2   best / medscale")
    for (arm, size), times in ours.items():
        for source in ("memory", "files"):
            seconds = [theirs[arm, size][source, workers][unit] for workers in (0, 1, 2)]
            cells = "   ".join(f"{value:5.2f}" for value in seconds)
            print(
                f"{arm:5} {size:2}   {times[unit]:8.2f}   {source:7}   {cells}   "
                f"{min(seconds) / times[unit]:15.2f}"
            )
    print()


def run_peer(trial: PlannedTrial, cohort: Cohort, folder: Path, source: str, workers: int) -> Times:
    """Run the same trial through MONAI's network and loaders."""
    spec = trial.spec
    split, train = trial_rows(spec, cohort)
    options = spec.training
    schedule = make_schedule(options, spec.size)
    prepare = preparation(source, cohort.shape)
    augment = Compose([*prepare, *random_transforms(trial)])
    training = Dataset(items(train, cohort, folder, source), augment)
    sampler = RandomSampler(
        training, replacement=True, num_samples=schedule.steps * options.batch_size
    )
    loader = DataLoader(
        training, batch_size=options.batch_size, sampler=sampler, num_workers=workers
    )
    with seeded_torch(0):
        network = peer_network(spec.backbone.options["width"])
        if options.initialisation == "xavier":
            xavier(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    evaluated = {
        name: DataLoader(
            Dataset(items(rows, cohort, folder, source), Compose(prepare)), batch_size=16
        )
        for name, rows in (("validation", split.validation), ("test", split.test))
    }
    for step, batch in enumerate(loader, start=1):
        network.train()
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * learning_rate_factor(schedule, step - 1)
        optimiser.zero_grad(set_to_none=True)
        images = batch["image"].as_tensor().clamp(0, 1)
        value = loss(network(images), batch["mask"].as_tensor(), options)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step in schedule.validate_at:
            score(network, evaluated["validation"])
    score(network, evaluated["test"])
    return {}


def peer_network(width: int) -> torch.nn.Module:
    """Return MONAI's DynUNet as `res_unet` configures it."""
    network: torch.nn.Module = DynUNet(
        2,
        1,
        1,
        kernel_size=[3] * 4,
        strides=[1, 2, 2, 2],
        upsample_kernel_size=[2] * 3,
        filters=[width * 2**level for level in range(4)],
        norm_name="instance",
        res_block=True,
    )
    return network


def score(network: torch.nn.Module, loader: Any) -> None:
    """Score a set, as the recipe does."""
    network.eval()
    with torch.inference_mode():
        for batch in loader:
            case_scores(network(tensor(batch["image"])), tensor(batch["mask"]))


def tensor(value: Any) -> torch.Tensor:
    """Return a plain tensor."""
    plain: torch.Tensor = value.as_tensor() if hasattr(value, "as_tensor") else value
    return plain


def items(rows: tuple[int, ...], cohort: Cohort, folder: Path, source: str) -> list[dict[str, Any]]:
    """Return the peer's list of cases."""

    def each() -> Iterator[dict[str, Any]]:
        for row in rows:
            if source == "files":
                yield {name: str(folder / f"{name}{row}.png") for name in KEYS}
            else:
                mask = (cohort.labels[row : row + 1] == 3).astype(np.float32)
                yield {"image": cohort.images[row].copy(), "mask": mask}

    return list(each())


def preparation(source: str, shape: tuple[int, ...]) -> list[Any]:
    """Return the deterministic transforms."""
    if source == "memory":
        return []
    return [
        LoadImaged(KEYS),
        EnsureChannelFirstd(KEYS),
        Resized(KEYS, shape, mode=MODES),
        ScaleIntensityRangePercentilesd("image", 0.5, 99.5, 0, 1, clip=True),
        AsDiscreted("mask", threshold=127.5),
    ]


def random_transforms(trial: PlannedTrial) -> list[Any]:
    """Return the baseline's and the arm's random transforms with medscale's ranges."""
    options = trial.spec.augmentation
    shear = float(np.tan(options.shear))
    transforms: list[Any] = [RandFlipd(KEYS, prob=options.flip, spatial_axis=a) for a in (0, 1)]
    transforms.append(
        RandAffined(
            KEYS,
            prob=options.affine,
            rotate_range=options.rotation,
            scale_range=(options.scale,) * 2,
            shear_range=(shear,) * 2,
            mode=MODES,
            padding_mode="zeros",
        )
    )
    if trial.arm == "red":
        red = trial.spec.arm[0].options
        transforms.append(
            Rand2DElasticd(
                KEYS,
                spacing=(red["spacing"],) * 2,
                magnitude_range=(red["magnitude_min"], red["magnitude_max"]),
                prob=red["prob"],
                mode=MODES,
                padding_mode="zeros",
            )
        )
    transforms.append(AsDiscreted("mask", threshold=0.5))
    transforms.append(
        RandShiftIntensityd("image", offsets=options.amplitude, prob=options.intensity)
    )
    return transforms


if __name__ == "__main__":
    main()

"""What a trial costs: how much of it is network, and how it compares with MONAI's loaders.

    python benchmarks/training_cost.py

Prints two tables. The first splits the wall time of a trial, as `medscale run` runs it on a CPU
(one thread), into forward, backward and optimiser; augmentation; validation and test; the rest. The
second sets the same trial beside the same network trained through MONAI's `Dataset` and
`DataLoader` with the same transforms, the same number of steps, validations and test cases, with 0,
1 and 2 loader workers, in two ways: "files" reads, resizes and scales every image at every step, as
MONAI's tutorials write it; "memory" starts from prepared arrays. All run in this process, one after
the other, and the best number of workers counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
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
from medscale.protocols import PluginContext
from medscale.registry import default_registry
from medscale.seeding import seeded_torch
from medscale.study.config import StudyConfig
from medscale.study.plan import PlannedTrial
from medscale.study.resolve import construct, resolve
from medscale.study.trial import StageTimer, run_trial, trial_rows
from medscale.training.budgets import learning_rate_factor, make_schedule
from medscale.training.initialisation import xavier
from medscale.training.losses import loss
from medscale.training.metrics import case_scores
from medscale.training.options import TrainingOptions

KEYS = ["image", "mask"]
MODES = ["bilinear", "bilinear"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=100, help="optimiser steps of a trial")
    parser.add_argument("--shape", type=int, default=96)
    parser.add_argument("--width", type=int, default=8, help="of res_unet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
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
        study = resolve(
            config,
            default_registry(),
            data=None,
            cache=Path(folder),
            progress=lambda done, total: None,
            log=print,
        )
        print(
            f"{torch.get_num_threads()} thread, {arguments.steps} steps of 8, {arguments.shape}², "
            f"res_unet width {arguments.width}; medians of {arguments.repeats}\n"
        )
        # Once for the imports and the first allocations, which no later trial pays for.
        time_ours(study.trials[0], study.cohort, 1, Path(folder))
        ours = {
            (t.arm, t.spec.size): time_ours(t, study.cohort, arguments.repeats, Path(folder))
            for t in study.trials
        }
        print_shares(ours)
        write_files(study.cohort, Path(folder))
        print_comparison(study.trials, study.cohort, ours, arguments.repeats, Path(folder))


def time_ours(trial: PlannedTrial, cohort: Cohort, repeats: int, cache: Path) -> dict[str, float]:
    """Return median seconds by part of a trial."""
    runs: list[dict[str, float]] = []
    for _ in range(repeats):
        started = time.perf_counter()
        record = run_trial(
            trial.spec,
            cohort,
            default_registry(),
            device="cpu",
            cache=cache,
            progress=lambda share, stage: None,
            timer=StageTimer(),
        )
        wall = time.perf_counter() - started
        parts = {name: record.timing[name] for name in ("network", "augmentation")}
        parts["scoring"] = record.timing["validation"] + record.timing["test"]
        runs.append({**parts, "rest": wall - sum(parts.values()), "wall": wall})
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def print_shares(ours: dict[tuple[str, int], dict[str, float]]) -> None:
    """Print the first table."""
    print("arm    n   wall s   train net   augment   scoring   rest   all network")
    for (arm, size), parts in ours.items():
        share = {name: seconds / parts["wall"] for name, seconds in parts.items()}
        print(
            f"{arm:5} {size:2}   {parts['wall']:6.2f}   {share['network']:8.1%}   "
            f"{share['augmentation']:7.1%}   {share['scoring']:7.1%}   {share['rest']:4.1%}   "
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
    trials: tuple[PlannedTrial, ...],
    cohort: Cohort,
    ours: dict[tuple[str, int], dict[str, float]],
    repeats: int,
    folder: Path,
) -> None:
    """Print the second table."""
    print("arm    n   medscale s   MONAI        workers 0       1       2   best / medscale")
    for trial in trials:
        for source in ("memory", "files"):
            seconds = [
                statistics.median(
                    time_peer(trial, cohort, folder, source, workers) for _ in range(repeats)
                )
                for workers in (0, 1, 2)
            ]
            own = ours[trial.arm, trial.spec.size]["wall"]
            cells = "   ".join(f"{value:5.2f}" for value in seconds)
            print(
                f"{trial.arm:5} {trial.spec.size:2}   {own:10.2f}   {source:8}  "
                f"{'':8}{cells}   {min(seconds) / own:15.2f}"
            )


def time_peer(
    trial: PlannedTrial, cohort: Cohort, folder: Path, source: str, workers: int
) -> float:
    """Return the seconds of the same trial through MONAI's loaders."""
    spec = trial.spec
    split, train = trial_rows(spec, cohort)
    options = spec.training
    schedule = make_schedule(options, spec.size)
    plugin = default_registry().load("backbone", "res_unet")
    backbone, _ = construct(plugin, spec.backbone.options, "res_unet", PluginContext())
    started = time.perf_counter()
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
        network = backbone.build(in_channels=1, out_channels=1, spatial_shape=cohort.shape)
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
    return time.perf_counter() - started


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

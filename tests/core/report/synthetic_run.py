"""A run folder with made-up results that follow a power law."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medscale.data.options import SplitOptions
from medscale.study.config import Arm, RunOptions, StudyConfig
from medscale.study.plan import PlannedTrial, PluginIdentity, build_plan
from medscale.study.records import FailureRecord, TrialRecord
from medscale.study.runstore import RunStore
from medscale.training.options import AugmentationOptions, TrainingOptions

_SUBJECTS = 6


def synthetic_run(
    folder: Path,
    *,
    dataset: str = "toys",
    tasks: Sequence[str] = ("blob",),
    arms: Sequence[str] = ("none", "red"),
    backbones: Sequence[str] = ("tiny",),
    sizes: Sequence[int] = (1, 2, 4, 8, 16),
    replicates: int = 5,
    failed: int = 0,
    message: str = "it broke",
    pool: int | None = None,
) -> RunStore:
    """Write a run; every arm after the first has 0.7 times the error of the one before.

    Args:
        folder: Where to.
        dataset: Name of the data set.
        tasks: Names.
        arms: Labels; each is its one augmenter's name, too.
        backbones: Labels of the networks.
        sizes: Training images.
        replicates: At each size.
        failed: How many trials, the last ones, have failed.
        message: What they said.
        pool: Images there are to train on; None: not recorded, as in older runs.
    """
    trials = build_plan(
        {
            "dataset": _plugin(dataset),
            "data": "0123456789abcdef",
            "recipe": _plugin("segmentation"),
            "seed": 0,
            "split_options": SplitOptions(),
            "training": TrainingOptions(),
            "augmentation": AugmentationOptions(),
        },
        tasks={task: (number,) for number, task in enumerate(tasks, start=1)},
        arms={arm: (_plugin(arm),) for arm in arms},
        backbones={backbone: _plugin(backbone) for backbone in backbones},
        sizes=sizes,
        replicates=dict.fromkeys(sizes, replicates),
        splits=1,
    )
    store = RunStore(folder)
    request = _request(dataset, sizes, replicates)
    store.begin(trials, request | ({"pools": {t: [pool] for t in tasks}} if pool else {}))
    done = len(trials) - failed
    for trial in trials[:done]:
        store.write_result(_record(trial, 0.7 ** list(arms).index(trial.arm)))
    for trial in trials[done:]:
        store.write_failure(
            FailureRecord(key=trial.spec.key, type="ValueError", message=message, stage="recipe")
        )
    return store


def _plugin(name: str) -> PluginIdentity:
    return PluginIdentity(name=name, behavior=1, options={"note": name})


def _record(trial: PlannedTrial, factor: float) -> TrialRecord:
    spec = trial.spec
    # Of the replicate and not of the arm: pairs have something in common.
    generator = np.random.default_rng([spec.size, spec.replicate])
    trouble = 0.1 * generator.standard_normal(_SUBJECTS)
    errors = factor * 0.8 * spec.size**-0.4 * np.exp(trouble)
    cases = [
        {
            "case": f"case{number}",
            "subject": f"subject{number}",
            "bce": float(error) / 3,
            "dice": 1 - float(error),
            "predicted": 0.2,
            "true": 0.2,
        }
        for number, error in enumerate(errors)
    ]
    return TrialRecord(
        key=spec.key,
        spec=spec,
        summary={
            "bce": float(errors.mean()) / 3,
            "dice": 1 - float(errors.mean()),
            "predicted": 0.2,
            "true": 0.2,
            "best_step": 400 + spec.replicate,
            "steps": 500,
        },
        cases=cases,
        history=[],
        weights="feed",
        timing={"training": 1.0},
        environment={},
        finished="2026-01-01T00:00:00+00:00",
    )


def _request(dataset: str, sizes: Sequence[int], replicates: int) -> dict[str, Any]:
    study = StudyConfig(
        dataset=dataset,
        arms=(Arm("none", ("none",)), Arm("red", ("red",))),
        backbones=("tiny",),
        recipe="segmentation",
        sizes=tuple(sizes),
        replicates=((1, replicates),),
    )
    return {
        "when": "2026-01-01T00:00:00+00:00",
        "study": study.model_dump(mode="json"),
        "run": RunOptions(out=Path("runs/toys"), data=Path("toys")).model_dump(mode="json"),
        "environment": {"medscale": "0.1.0", "torch": "2.13.0"},
        "plugins": {f"dataset {dataset}": "0.1.0"},
        "parameters": {"tiny": 1234},
        "git": {"commit": "abc", "changes": False},
        "notes": [f"a note on {dataset}"],
    }

"""Toy cohorts, trials and records that the tests of core share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from medscale.data.cases import Case
from medscale.data.cohort import Cohort, build_cohort
from medscale.data.options import SplitOptions
from medscale.study.plan import PlannedTrial, PluginIdentity, TrialSpec
from medscale.study.records import TrialRecord
from medscale.training.options import AugmentationOptions, TrainingOptions


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are slower on many threads, and sums are the same on every machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_cohort() -> Callable[..., Cohort]:
    """Build a cohort: one row for each subject given, with a square of label 1 in each image."""

    def make(
        subjects: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        shape: tuple[int, ...] = (8, 8),
    ) -> Cohort:
        count = len(subjects)
        ids = ids or [f"case{row}" for row in range(count)]
        groups = groups or [""] * count
        labels = np.zeros((count, *shape), dtype=np.uint8)
        labels[(slice(None), *[slice(2, 6)] * len(shape))] = 1
        return build_cohort(
            tuple(
                Case(id=name, subject=subject, group=group)
                for name, subject, group in zip(ids, subjects, groups, strict=True)
            ),
            np.random.default_rng(0).random((count, 1, *shape), dtype=np.float32),
            labels,
            np.ones((count, len(shape))),
            tuple(keys or [f"image{row}" for row in range(count)]),
        )

    return make


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., TrialSpec]:
    """Build a trial's specification; keyword arguments replace its fields."""

    def make(**changes: Any) -> TrialSpec:
        fields: dict[str, Any] = {
            "dataset": PluginIdentity(name="toys", behavior=1, options={}),
            "data": "0123456789abcdef",
            "recipe": PluginIdentity(name="segmentation", behavior=1, options={}),
            "seed": 0,
            "split_options": SplitOptions(),
            "training": TrainingOptions(),
            "augmentation": AugmentationOptions(),
            "task": "blob",
            "labels": (1,),
            "backbone": PluginIdentity(name="tiny", behavior=1, options={"width": 4}),
            "arm": (PluginIdentity(name="none", behavior=1, options={}),),
            "size": 2,
            "split": 0,
            "replicate": 0,
        }
        return TrialSpec(**fields | changes)

    return make


@pytest.fixture(scope="session")
def make_trial(make_spec: Callable[..., TrialSpec]) -> Callable[..., PlannedTrial]:
    """Build a planned trial; its arm's label is also the name of its one augmenter."""

    def make(arm: str = "none", /, **changes: Any) -> PlannedTrial:
        augmenters = (PluginIdentity(name=arm, behavior=1, options={}),)
        return PlannedTrial(make_spec(**{"arm": augmenters} | changes), arm, "tiny")

    return make


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TrialRecord]:
    """Build the record of a planned trial with two test cases of that Dice."""

    def make(trial: PlannedTrial, *, dice: float = 0.5, predicted: float = 0.25) -> TrialRecord:
        scores = {"bce": 1 - dice, "dice": dice, "predicted": predicted, "true": 0.25}
        return TrialRecord(
            key=trial.spec.key,
            spec=trial.spec,
            summary=scores,
            cases=[{"case": name, "subject": name, **scores} for name in ("a", "b")],
            history=[{"step": 1.0, "dice": dice}],
            weights="feed",
            timing={"training": 1.5},
            environment={},
            finished="2026-01-01T00:00:00+00:00",
        )

    return make

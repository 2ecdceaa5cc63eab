"""A run folder that has been begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medscale.study.plan import PlannedTrial
from medscale.study.runstore import RunStore


@pytest.fixture
def trials(make_trial: Callable[..., PlannedTrial]) -> list[PlannedTrial]:
    return [make_trial(arm, size=size) for arm in ("none", "red") for size in (1, 2)]


@pytest.fixture
def store(trials: list[PlannedTrial], tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "run")
    store.begin(trials, {"when": "now"})
    return store

"""A run folder knows how many images there are to annotate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.protocols import WorkerExit, WorkOrder
from medscale.registry import default_registry
from medscale.study.config import RunOptions, StudyConfig
from medscale.study.resolve import Study, resolve
from medscale.study.runner import run_study
from medscale.study.runstore import RunStore


class Interrupted:
    """An executor whose user presses Ctrl-C at once."""

    def execute(self, order: WorkOrder, watch: Callable[[], None]) -> list[WorkerExit]:
        raise KeyboardInterrupt


class Silent:
    """A watcher that shows nothing."""

    def begin(self, total: float, done: float, trials: int, finished: int) -> None: ...

    def update(self, done: float, finished: int, failed: int, current: Sequence[str]) -> None: ...

    def prepare(self, what: str, share: float) -> None: ...


def study(cache: Path, size: int) -> Study:
    """Resolve a small study of two tasks and two splits."""
    config = validate(
        StudyConfig,
        {
            "dataset": "phantom",
            "tasks": "lv,rv",
            "arms": "none",
            "backbones": "res_unet",
            "recipe": "segmentation",
            "sizes": f"1,{size}",
            "replicates": "1",
            "splits": 2,
            "prepare": {"shape": "32"},
            "plugins": {"phantom": {"subjects": 12, "size": 64}, "res_unet": {"width": 2}},
        },
        "study",
    )
    return resolve(
        config,
        default_registry(),
        data=None,
        cache=cache,
        progress=lambda done, total: None,
        log=lambda message: None,
    )


def test_a_run_records_the_largest_size_that_its_study_can_run(tmp_path: Path) -> None:
    planned = study(tmp_path / "cache", 2)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_study(planned, RunOptions(out=out), Interrupted(), tmp_path, Silent())
    pools = RunStore(out).pool_sizes()
    assert pools == {task: min(of_splits) for task, of_splits in planned.pools.items()}
    assert list(pools) == ["lv", "rv"]
    assert all(len(of_splits) == 2 for of_splits in planned.pools.values())
    most = min(pools.values())
    study(tmp_path / "cache", most)
    with pytest.raises(ConfigError, match=f"holds {most} .*give sizes up to {most}"):
        study(tmp_path / "cache", most + 1)

"""Tidy tables of a run: one row per trial, and one row per trial and test case."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from medscale import atomic
from medscale.study.plan import PlannedTrial
from medscale.study.records import TrialRecord
from medscale.study.runstore import RunStore

GRID = ["dataset", "task", "backbone", "arm", "size", "split", "replicate"]
"""Columns that say which trial a row is of."""


def trial_table(store: RunStore) -> pd.DataFrame:
    """Return one row per finished trial: its place in the grid, its scores, its cost."""
    rows = [
        _grid(trial)
        | record.summary
        | {
            "training_seconds": record.timing.get("training"),
            "weights": record.weights,
            "key": record.key,
        }
        for trial, record in finished(store)
    ]
    return _sorted(pd.DataFrame(rows, columns=None if rows else GRID))


def case_table(store: RunStore) -> pd.DataFrame:
    """Return one row per finished trial and test case."""
    rows = [_grid(trial) | case for trial, record in finished(store) for case in record.cases]
    return _sorted(pd.DataFrame(rows, columns=None if rows else GRID))


def finished(store: RunStore) -> list[tuple[PlannedTrial, TrialRecord]]:
    """Return every planned trial that is done, with its record."""
    return [
        (trial, store.result(trial.spec.key))
        for trial in store.plan()
        if store.is_done(trial.spec.key)
    ]


def summary_table(trials: pd.DataFrame, metrics: tuple[str, ...] = ("dice", "bce")) -> pd.DataFrame:
    """Return mean, standard deviation and count over trials, by place in the grid.

    Columns are `<metric>_mean`, `<metric>_sd` and `trials`; rows are by dataset, task, backbone,
    arm and size. `empty` counts the trials that predict background in every test case.
    """
    keys = ["dataset", "task", "backbone", "arm", "size"]
    groups = trials.groupby(keys, sort=False)
    parts: dict[str, Any] = {}
    for metric in metrics:
        parts[f"{metric}_mean"] = groups[metric].mean()
        parts[f"{metric}_sd"] = groups[metric].std()
    parts["trials"] = groups.size()
    parts["empty"] = groups["predicted"].agg(lambda shares: int((shares == 0).sum()))
    return pd.DataFrame(parts).reset_index()


def write_tables(store: RunStore) -> list[Path]:
    """Write results and cases, each as CSV and Parquet; return the files."""
    written = []
    for name, table in (("results", trial_table(store)), ("cases", case_table(store))):
        csv, parquet = store.folder / f"{name}.csv", store.folder / f"{name}.parquet"
        atomic.write_text(csv, table.to_csv(index=False))
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        atomic.write_bytes(parquet, buffer.getvalue())
        written += [csv, parquet]
    return written


def _grid(trial: PlannedTrial) -> dict[str, Any]:
    spec = trial.spec
    return {
        "dataset": spec.dataset.name,
        "task": spec.task,
        "backbone": trial.backbone,
        "arm": trial.arm,
        "size": spec.size,
        "split": spec.split,
        "replicate": spec.replicate,
    }


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    # Tasks, networks and arms stay in the order in which they were asked for.
    for column in ("task", "backbone", "arm"):
        table[column] = pd.Categorical(table[column], categories=list(table[column].unique()))
    table = table.sort_values(GRID, kind="stable", ignore_index=True)
    return table.astype(dict.fromkeys(("task", "backbone", "arm"), "str"))

"""Tables say what the records say, and where in the grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from medscale.report.tables import (
    GRID,
    case_table,
    finished,
    summary_table,
    trial_table,
    write_tables,
)
from medscale.study.plan import PlannedTrial
from medscale.study.records import TrialRecord
from medscale.study.runstore import RunStore


@pytest.fixture
def store(
    make_trial: Callable[..., PlannedTrial],
    make_record: Callable[..., TrialRecord],
    tmp_path: Path,
) -> RunStore:
    """Return a run of two arms, "red" asked for first; the last trial is not done."""
    trials = [
        make_trial(arm, size=size, replicate=replicate)
        for replicate in (0, 1)
        for size in (16, 2)
        for arm in ("red", "none")
    ]
    store = RunStore(tmp_path / "run")
    store.begin(trials, {})
    for number, trial in enumerate(trials[:-1]):
        store.write_result(make_record(trial, dice=number / 10, predicted=number % 2))
    return store


def test_a_row_is_a_finished_trial(store: RunStore) -> None:
    table = trial_table(store)
    assert list(table.columns[: len(GRID)]) == GRID
    assert len(table) == len(finished(store)) == 7
    assert table["key"].is_unique
    row = table[(table["arm"] == "none") & (table["size"] == 16) & (table["replicate"] == 1)]
    assert row["dice"].tolist() == [pytest.approx(0.5)]
    assert row["bce"].tolist() == [pytest.approx(0.5)]
    assert row["training_seconds"].tolist() == [1.5]
    assert row["dataset"].tolist() == ["toys"]


def test_rows_are_in_the_order_that_was_asked_for(store: RunStore) -> None:
    table = trial_table(store)
    # Arms as asked for, not by the alphabet; sizes as numbers, not as text.
    assert list(table["arm"]) == ["red"] * 4 + ["none"] * 3
    assert list(table["size"]) == [2, 2, 16, 16, 2, 16, 16]
    assert list(table["replicate"]) == [0, 1, 0, 1, 0, 0, 1]


def test_every_case_has_a_row(store: RunStore) -> None:
    table = case_table(store)
    assert len(table) == 14
    assert list(table["case"][:2]) == ["a", "b"]
    counts = table.groupby(["arm", "size", "replicate"]).size()
    assert set(counts) == {2}


def test_a_run_without_results_has_empty_tables(
    make_trial: Callable[..., PlannedTrial], tmp_path: Path
) -> None:
    store = RunStore(tmp_path / "run")
    store.begin([make_trial()], {})
    for table in (trial_table(store), case_table(store)):
        assert len(table) == 0
        assert list(table.columns) == GRID
    write_tables(store)
    assert pd.read_csv(store.folder / "results.csv").empty


def test_a_summary_is_over_replicates(store: RunStore) -> None:
    summary = summary_table(trial_table(store))
    assert list(summary["arm"]) == ["red", "red", "none", "none"]
    assert list(summary["size"]) == [2, 16, 2, 16]
    assert list(summary["trials"]) == [2, 2, 1, 2]
    red = summary.iloc[0]
    # Dice 0.2 and 0.6.
    assert red["dice_mean"] == pytest.approx(0.4)
    assert red["dice_sd"] == pytest.approx(0.2 * 2**0.5)
    assert red["bce_mean"] == pytest.approx(0.6)
    assert pd.isna(summary.iloc[2]["dice_sd"])
    # The red ones predicted background everywhere.
    assert list(summary["empty"]) == [2, 2, 0, 0]


def test_tables_are_written_twice(store: RunStore) -> None:
    files = write_tables(store)
    assert [path.name for path in files] == [
        "results.csv",
        "results.parquet",
        "cases.csv",
        "cases.parquet",
    ]
    for name, table in (("results", trial_table(store)), ("cases", case_table(store))):
        for read in (
            pd.read_csv(store.folder / f"{name}.csv"),
            pd.read_parquet(store.folder / f"{name}.parquet"),
        ):
            pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_the_same_results_give_the_same_csv(store: RunStore) -> None:
    write_tables(store)
    before = (store.folder / "results.csv").read_bytes()
    write_tables(store)
    assert (store.folder / "results.csv").read_bytes() == before

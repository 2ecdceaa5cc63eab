"""`medscale compare` and `medscale results --compare`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from medscale.errors import ConfigError, DataError, StoreError
from medscale.report import tables
from medscale.study.runstore import RunStore
from medscale_cli.compare import compare
from medscale_cli.results import results

app = typer.Typer()
app.command("compare")(compare)
app.command("results")(results)


def cases(arms: tuple[str, ...] = ("none", "[red]")) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [
        {"arm": arm, "size": size, "replicate": replicate, "subject": subject, "case": subject}
        for size in (1, 2, 4, 8, 16)
        for replicate in range(3)
        for arm in arms
        for subject in ("a", "b", "c", "d")
    ]
    table = pd.DataFrame(rows).assign(dataset="toys", task="lv", backbone="tiny", split=0)
    images = np.where(table["arm"] == "none", table["size"], 2 * table["size"])
    error = 0.5 * images**-0.5 * np.exp(0.01 * generator.standard_normal(len(table)))
    return table.assign(dice=1 - error, bce=error / 2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder whose tables are those of `cases`."""
    show(cases(), monkeypatch)
    return tmp_path


def show(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = table.groupby(tables.GRID, sort=False)[["dice", "bce"]].mean().reset_index()
    monkeypatch.setattr(RunStore, "study", lambda self: {})
    monkeypatch.setattr(tables, "case_table", lambda store: table)
    monkeypatch.setattr(
        tables, "trial_table", lambda store: trials.assign(best_step=50, steps=100, predicted=0.1)
    )


def call(*arguments: str | Path, columns: int = 200) -> Result:
    width = {"COLUMNS": str(columns)}
    return CliRunner().invoke(app, [str(part) for part in arguments], env=width)


def test_the_answer_comes_first(run: Path) -> None:
    lines = call("compare", run).output.splitlines()
    assert lines[0].startswith("With [red], 8 annotated images are worth 16 (")
    assert lines[0].endswith(" without it.")


def test_every_size_has_its_numbers(run: Path) -> None:
    output = call("compare", run).output
    for size in (1, 2, 4, 8, 16):
        assert any(
            line.startswith(f"│ {size:>2} │ [red] ") and "0.7" in line
            for line in output.splitlines()
        )
    assert output.count("↓") == 8  # five sizes, the factor, and both captions
    assert "corrected for 5 tests" in output
    (factor,) = (line for line in output.splitlines() if "│ factor" in line)
    assert "↓" in factor
    assert "corrected for 3 tests" in output
    assert "steps to the best checkpoint" in output


def test_what_trials_do_not_bound_is_said_in_words(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cases()
    noise = np.random.default_rng(1).standard_normal(len(table))
    show(table.assign(dice=1 - 0.3 * np.exp(0.5 * noise)), monkeypatch)
    shown = call("compare", run).output
    assert "not bounded" in shown
    assert "(0–∞)" not in shown


def test_four_arms_fit_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(cases(("none", "red", "strong", "reg", "gen")), monkeypatch)
    output = call("compare", tmp_path, columns=80).output
    tables_only = [line for line in output.splitlines() if line.startswith(("│", "┃"))]
    assert len(tables_only) > 3 * 4
    assert not any("…" in line for line in tables_only)


def test_json_is_one_object(run: Path) -> None:
    found = json.loads(call("compare", run, "--metric", "bce", "--level", "0.9", "--json").output)
    assert (found["baseline"], found["metric"], found["level"]) == ("none", "bce", 0.9)
    for name in ("ratios", "overall", "efficiency", "parameters", "speed"):
        assert found[name][0]["arm"] == "[red]"
    assert found["ratios"][0]["verdict"] == "lower"
    assert found["efficiency"][-1]["size"] == 16


def test_the_baseline_is_chosen(run: Path) -> None:
    found = json.loads(call("compare", run, "--baseline", "[red]", "--json").output)
    assert {row["verdict"] for row in found["ratios"]} == {"higher"}
    error = call("compare", run, "--baseline", "rde").exception
    assert isinstance(error, DataError)


def test_without_the_usual_baseline_the_first_arm_is_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(cases().replace({"arm": {"none": "plain"}}), monkeypatch)
    assert json.loads(call("compare", tmp_path, "--json").output)["baseline"] == "plain"


def test_no_number_is_cut_in_a_narrow_terminal(run: Path) -> None:
    assert "…" not in call("compare", run, columns=40).output


def test_one_replicate_is_shown_without_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cases()
    show(table[table["replicate"] == 0], monkeypatch)
    result = call("compare", tmp_path)
    assert result.exit_code == 0
    assert "note: lv, tiny, [red]: " in result.output
    said = " ".join(result.output.split())
    assert "one training at each size: no intervals, no tests" in said
    assert "nan" not in result.output


def test_a_run_without_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunStore, "study", lambda self: {})
    monkeypatch.setattr(tables, "trial_table", lambda store: pd.DataFrame(columns=tables.GRID))
    error = call("compare", tmp_path).exception
    assert isinstance(error, StoreError)
    assert "medscale status" in str(error)


def test_results_show_the_same_table(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = SimpleNamespace(spec=SimpleNamespace(key="feed"))
    monkeypatch.setattr(RunStore, "plan", lambda self: [done])
    monkeypatch.setattr(RunStore, "is_done", lambda self, key: True)
    monkeypatch.setattr("medscale_cli.summary.plugin_notes", lambda store: ())
    alone, both = call("results", run), call("results", run, "--compare")
    assert both.output == alone.output + call("compare", run).output


def test_results_compare_in_words_only(run: Path) -> None:
    error = call("results", run, "--compare", "--json").exception
    assert isinstance(error, ConfigError)
    assert "medscale compare" in str(error)

"""`medscale fit` and `medscale forecast`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale_cli.__main__ import run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    rows = [
        {
            "size": n,
            "dice": 0.9 - factor * n**-0.5 * np.exp(generator.normal() * 0.05),
            "arm": arm,
            "replicate": replicate,
        }
        for arm, factor in (("none", 0.5), ("red", 0.4))
        for n in 2 ** np.arange(7)
        for replicate in range(4)
    ]
    path = tmp_path / "curves.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_arm_of_a_file_gets_a_law(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(table)]) == 0
    shown = capsys.readouterr().out
    for text in ("none", "red", "power law + floor", "trusted up to", "observed", "256"):
        assert text in shown


def test_json_holds_weights_floor_and_predictions(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fit", str(table), "--json"]) == 0
    none, _red = objects(capsys.readouterr().out)
    assert none["curve"] == "none"
    assert isinstance(none["families"], list)
    assert sum(family["weight"] for family in none["families"]) == pytest.approx(1)
    assert isinstance(none["predictions"], list)
    last = none["predictions"][-1]
    assert last["n"] == 256
    assert last["low"] < 0.1 + 0.5 / 16 < last["high"]


def test_no_interval_of_a_score_s_error_ends_above_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "low.csv"
    dice = [0.01, 0.2, 0.05, 0.3, 0.1, 0.45, 0.2, 0.6]
    pd.DataFrame({"size": [1, 1, 2, 2, 4, 4, 8, 8], "dice": dice}).to_csv(path, index=False)
    assert run(["fit", str(path), "--json"]) == 0
    (curve,) = objects(capsys.readouterr().out)
    assert isinstance(curve["predictions"], list)
    assert curve["predictions"][0]["high"] == 1


def test_a_forecast_says_how_many(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forecast", str(table), "--target", "dice=0.85"]) == 0
    assert "none: Dice 0.85 needs about n =" in capsys.readouterr().out
    assert run(["forecast", str(table), "--target", "dice=0.85", "--json"]) == 0
    none, red = objects(capsys.readouterr().out)
    assert none["low"] <= 100 <= none["high"]  # type: ignore[operator]
    assert red["n"] < none["n"]  # type: ignore[operator]


def test_a_forecast_says_what_cannot_be(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forecast", str(table), "--target", "dice=0.999"]) == 0
    shown = capsys.readouterr().out
    assert "Dice 0.999 is unreachable by more images alone: the law levels off at Dice 0.9" in shown
    assert "n = 128: Dice 0.8" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "dice"], "--target got 'dice', expected dice=0.90"),
        (["--target", "=0.9"], "--target got '=0.9', expected dice=0.90"),
        (["--target", "dice=90"], "expected a share below 1"),
        (["--target", "dise=0.9"], "has no column 'dise': did you mean dice?"),
    ],
)
def test_wrong_targets_get_a_sentence(
    table: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["forecast", str(table), *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_dice_in_per_cent_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "percent.csv"
    path.write_text("size,dice\n1,60\n2,70\n4,80\n", encoding="utf-8")
    assert run(["fit", str(path)]) == 1
    assert "divide by 100" in capsys.readouterr().err


def test_files_that_are_no_tables_get_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fit", str(tmp_path / "absent.csv")]) == 1
    assert "expected a run folder or a CSV file" in capsys.readouterr().err
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    assert run(["fit", str(path)]) == 1
    said = capsys.readouterr().err
    assert "expected size (or n, images, training size), and error, or one score such as" in said


def test_intervals_of_a_run_are_about_new_patients_and_those_of_a_file_about_its_cases(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = synthetic_run(tmp_path / "run").folder
    for command in (["fit"], ["forecast", "--target", "dice=0.8"]):
        assert run([*command, str(folder)]) == 0
        assert "new patients, of whom the 6 test subjects are" in capsys.readouterr().out
        assert run([*command, str(folder), "--json"]) == 0
        assert "new patients" in str(objects(capsys.readouterr().out)[0]["intervals_about"])
        assert run([*command, str(table)]) == 0
        assert "about these very test cases, not new patients" in capsys.readouterr().out


def test_what_a_run_measured_by_trial_only_is_about_its_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = synthetic_run(tmp_path / "run").folder
    # Steps to the best checkpoint are of a trial, and do not fall here.
    assert run(["fit", str(folder), "--column", "best_step"]) == 0
    assert "about these very test cases" in capsys.readouterr().out


def test_a_file_of_test_cases_is_fitted_case_by_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    hardness = np.exp(generator.normal(size=8) * 0.5)
    rows = [
        {"size": n, "replicate": replicate, "case": case, "error": 0.4 * n**-0.4 * hard * luck}
        for n in 2 ** np.arange(6)
        for replicate, luck in enumerate(np.exp(generator.normal(size=3) * 0.05))
        for case, hard in enumerate(hardness)
    ]
    cases, trials = tmp_path / "cases.csv", tmp_path / "trials.csv"
    frame = pd.DataFrame(rows)
    frame.to_csv(cases, index=False)
    frame.groupby(["size", "replicate"], as_index=False)["error"].mean().to_csv(trials, index=False)
    found = []
    for path in (cases, trials):
        assert run(["fit", str(path), "--json"]) == 0
        found.append(objects(capsys.readouterr().out)[0]["predictions"][5])  # type: ignore[index]
    assert found[0]["error"] == pytest.approx(found[1]["error"])
    assert found[0]["low"] < 0.9 * found[1]["low"]
    frame.drop(columns="replicate").to_csv(cases, index=False)
    assert run(["fit", str(cases)]) == 1
    assert "is twice in the trial of n = 1" in capsys.readouterr().err


def test_cases_without_a_score_are_left_out_and_trials_without_any_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"size": n, "case": case, "hd95": "" if (n, case) == (4, 1) else 9 * n**-0.4 * (1 + case)}
        for n in (1, 2, 4, 8, 16)
        for case in range(3)
    ]
    path = tmp_path / "distances.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert run(["fit", str(path), "--column", "hd95"]) == 0
    assert "of whom the 3 test subjects" in capsys.readouterr().out
    frame = pd.DataFrame(rows)
    frame.loc[frame["size"] == 8, "hd95"] = ""
    frame.to_csv(path, index=False)
    assert run(["fit", str(path), "--column", "hd95"]) == 1
    assert "hold no test case" in capsys.readouterr().err

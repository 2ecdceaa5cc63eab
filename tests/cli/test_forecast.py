"""`medscale forecast --at`: what a number of images gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale.laws import fit
from medscale_cli.__main__ import run

SIZES = (1, 2, 4, 8, 16, 32)
SCORES = (0.50, 0.60, 0.67, 0.72, 0.755, 0.78)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{n},{score}" for n, score in zip(SIZES, SCORES, strict=True)]
    path = tmp_path / "curve.csv"
    path.write_text("\n".join(["size,dice", *rows]), encoding="utf-8")
    return path


def answer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["forecast", *arguments]) == 0
    return capsys.readouterr().out


def test_predictions_at_any_n_are_those_of_the_law(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = fit(SIZES, [1 - score for score in SCORES])
    shown = json.loads(answer([str(table), "--at", "40,10..20:x2,2.5", "--json"], capsys))
    assert [row["n"] for row in shown["at"]] == [2.5, 10, 20, 40]
    for row in shown["at"]:
        assert row["error"] == pytest.approx(float(law.predict(row["n"])))
        ends = (row["low"], row["high"])
        assert ends == pytest.approx(tuple(map(float, law.interval(row["n"]))))
    assert "status" not in shown


def test_what_lies_beyond_trust_says_so(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = json.loads(answer([str(table), "--at", "32", "--json"], capsys))["trusted_factor"] * 32
    near, far = int(limit), int(limit) + 1
    asked = [str(table), "--at", f"{near},{far}"]
    first, second = answer(asked, capsys).splitlines()[-3:-1]
    mark = f", beyond what these sizes are trusted for (n = {limit:.0f})"
    assert first.startswith(f"  n = {near}: Dice 0.")
    assert first.endswith(")")
    assert mark not in first
    assert second.startswith(f"  n = {far}: Dice 0.")
    assert second.endswith(mark)
    shown = json.loads(answer([*asked, "--json"], capsys))
    assert [row["trusted"] for row in shown["at"]] == [True, False]


def test_what_lies_below_the_sizes_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "late.csv"
    path.write_text("size,dice\n8,0.5\n16,0.6\n32,0.67\n64,0.72\n128,0.755", encoding="utf-8")
    below, at = answer([str(path), "--at", "2,8"], capsys).splitlines()[-3:-1]
    assert below.endswith("below n = 8, the smallest size that was run")
    assert "smallest" not in at
    shown = json.loads(answer([str(path), "--at", "1,2,8", "--json"], capsys))
    assert [row["trusted"] for row in shown["at"]] == [False, False, True]
    errors = [row["error"] for row in shown["at"]]
    assert errors == sorted(errors, reverse=True)
    widths = [row["high"] / row["low"] for row in shown["at"]]
    assert widths == sorted(widths, reverse=True)


def test_the_level_of_intervals_is_said_as_given(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(table), "--target", "dice=0.7", "--level", "0.975"]
    first, *_, last = answer(asked, capsys).splitlines()
    assert "(97.5 % interval: " in first
    assert last.startswith("  97.5 % intervals, about ")
    assert json.loads(answer([*asked, "--json"], capsys))["level"] == 0.975


def test_a_target_and_sizes_may_be_asked_for_together(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = answer([str(table), "--target", "dice=0.79", "--at", "48,64"], capsys)
    assert "Dice 0.79 needs about n =" in shown
    # Sizes to run next are shown beside those asked for, each once.
    lines = [line for line in shown.splitlines() if line.startswith("  n = ")]
    assert [line.split(":")[0] for line in lines] == ["  n = 48", "  n = 64", "  n = 128"]


def test_sizes_alone_may_be_about_any_column(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = table.read_text(encoding="utf-8").replace("dice", "hd95")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    table.write_text(
        "size,hd95\n" + "\n".join(f"{n},{9 * (1 - float(dice))}" for n, dice in rows),
        encoding="utf-8",
    )
    assert "n = 64: HD95 1." in answer([str(table), "--at", "64", "--column", "hd95"], capsys)


def test_an_error_is_called_what_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(synthetic_run(tmp_path / "run").folder)
    for target, said in (("bce=0.15", "BCE 0.15 needs about"), ("bce=0.001", "BCE 0.001 ")):
        shown = answer([folder, "--target", target, "--at", "64"], capsys)
        assert said in shown
        assert "n = 64: BCE 0." in shown
        assert "error" not in shown
        first = json.loads(answer([folder, "--target", target, "--json"], capsys).splitlines()[0])
        assert said in first["sentence"]
        assert "error" not in first["sentence"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "got neither --target nor --at, expected one of them"),
        (["--at", "many"], "--at got 'many', expected numbers or ranges such as 1..256"),
        (["--at", "8..4"], "--at got '8..4': a range rises"),
        (["--at", "0"], "--at got '0', expected numbers of images above 0"),
        (["--at", "1,inf"], "--at got 'inf', expected numbers of images above 0"),
        (["--target", "dice=0.9", "--column", "bce"], "--column got 'bce' beside --target"),
    ],
)
def test_wrong_questions_get_a_sentence(
    table: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["forecast", str(table), *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_a_run_is_told_no_sizes_that_it_has_no_images_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pool, advice in ((20, "add n = 20"), (16, "annotate more images than the 16 there are")):
        folder = synthetic_run(tmp_path / f"run{pool}", pool=pool).folder
        assert run(["forecast", str(folder), "--target", "dice=0.88"]) == 0
        said = capsys.readouterr().out
        assert advice in said
        assert "n = 32" not in said

"""Which curves a file holds, and what of it is not used."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale.errors import DataError
from medscale.report.tables import write_tables
from medscale_cli.__main__ import run
from medscale_cli.curves import read_curves

SIZES = (1, 2, 4, 8, 16)
STUDIES = sorted((Path(__file__).parents[2] / "docs/results").glob("*.csv"))


def table(path: Path, **columns: tuple[object, ...]) -> Path:
    """Write a row for each size and each combination of labels, with an error that falls."""
    labels = [dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())]
    rows = [
        label | {"size": n, "error": n**-0.4 * (0.5 + 0.01 * place)}
        for n in SIZES
        for place, label in enumerate(labels)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["arm", "task", "backbone", "dataset"])
def test_every_word_names_a_curve(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "arms.csv", **{name: ("None", "NA", "null", "nan", "red")})
    curves = read_curves(path)
    assert [curve.name for curve in curves] == ["None", "NA", "null", "nan", "red"]
    assert [len(curve.rows) for curve in curves] == [len(SIZES)] * 5


def test_replicates_pair_trials_whether_numbers_or_words(tmp_path: Path) -> None:
    found = []
    for names in ((9, 10, 11), ("r9", "None", "NA")):
        law = read_curves(table(tmp_path / "trials.csv", replicate=names))[0].law()
        found.append(law.interval(32))
    np.testing.assert_allclose(found[0], found[1])
    alone = read_curves(table(tmp_path / "trials.csv", note=("a", "b", "c")))[0].law()
    assert abs(alone.interval(32)[0] / found[0][0] - 1) > 1e-6


def test_a_curve_that_has_no_law_does_not_end_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "arms.csv", arm=("rising", "gap", "good"))
    frame = pd.read_csv(path)
    rising, gap = frame["arm"] == "rising", (frame["arm"] == "gap") & (frame["size"] == 4)
    frame.loc[rising, "error"] = 1 - frame.loc[rising, "error"]
    frame.loc[gap, "error"] = np.nan
    frame.to_csv(path, index=False)
    line = int(np.flatnonzero(gap)[0]) + 2
    for command in (["fit"], ["forecast", "--target", "error=0.3"]):
        assert run([*command, str(path)]) == 1
        shown = capsys.readouterr().out
        assert "rising: no law: the error does not fall" in shown
        assert f"gap: no law: line {line} has no error" in shown
        assert "\ngood" in shown
        assert run([*command, str(path), "--json"]) == 1
        answers = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        assert [answer["curve"] for answer in answers] == ["rising", "gap", "good"]
        assert ["failure" in answer for answer in answers] == [True, True, False]
    frame[rising].to_csv(path, index=False)
    assert run(["fit", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: the error does not fall")


def test_a_column_that_may_name_curves_and_is_not_used_gets_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "models.csv", model=("none", "large"), replicate=(0, 1))
    for command in (["fit"], ["forecast", "--target", "error=0.3"]):
        assert run([*command, str(path)]) == 0
        shown = capsys.readouterr().out
        assert "warning: column 'model' is not used: rows that differ in it" in shown
        assert run([*command, str(path), "--json"]) == 0
        assert "column 'model'" in json.loads(capsys.readouterr().out)["warnings"][0]


def test_codes_may_name_curves_too(tmp_path: Path) -> None:
    (curve,) = read_curves(table(tmp_path / "models.csv", method=(1, 2, 3)))
    assert "column 'method' is not used" in curve.warnings[0]


@pytest.mark.parametrize(
    ("size", "score"),
    [
        ("n", "Dice"),
        ("N", "DSC"),
        ("Images", "mean dice"),
        ("Training size", "dice_unet"),
        ("n_train", "Jaccard"),
        ("train size", "dice_1"),
        (" size ", "AUROC"),
    ],
)
def test_sizes_and_scores_are_known_by_what_people_call_them(
    tmp_path: Path, size: str, score: str
) -> None:
    path = table(tmp_path / "ours.csv")
    ours = pd.read_csv(path)
    law = read_curves(path)[0].law()
    theirs = pd.DataFrame({size: ours["size"], score: 1 - ours["error"]})
    theirs.to_csv(path, index=False)
    for column in (None, score):
        (curve,) = read_curves(path, column)
        assert curve.law().predict(32) == pytest.approx(law.predict(32))


@pytest.mark.parametrize("name", ["dice loss", "Dice error", "1 - dice", "hd95", "loss"])
def test_an_error_is_none_the_less_one_for_the_score_in_its_name(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "errors.csv")
    pd.read_csv(path).rename(columns={"error": name}).to_csv(path, index=False)
    (curve,) = read_curves(path, name)
    assert not curve.is_score
    assert curve.law().predict(16) == pytest.approx(16**-0.4 * 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("size,dice_a,dice_b", "expected error, or one score such as dice; name what was measured"),
        (
            "cases seen,liver,spleen",
            "expected size (or n, images, training size), and error, or one",
        ),
        ("n,images,dice", "has no column 'size' (or n, images, training size)"),
    ],
)
def test_columns_that_leave_it_open_are_named(tmp_path: Path, header: str, sentence: str) -> None:
    path = tmp_path / "open.csv"
    path.write_text(f"{header}\n1,0.5,0.4\n2,0.6,0.5\n", encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_curves(path)
    assert sentence in str(refused.value)


def test_a_warning_comes_with_the_reason_why_there_is_no_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "models.csv", model=("none", "large"), case=("a", "b"))
    assert run(["fit", str(path)]) == 1
    shown = capsys.readouterr().err
    assert "case 'a' is twice in the trial of n = 1" in shown
    assert "column 'model' is not used" in shown


@pytest.mark.parametrize(
    "columns",
    [
        {"arm": ("a", "b"), "model": ("one",)},
        {"replicate": (0, 1), "steps": (150, 200)},
        {"replicate": (0, 1), "key": ("%d", "%d")},
        {"Seed": (0, 1)},
        {"fold_id": (1, 2, 3)},
        {"case": ("a", "b")},
    ],
)
def test_other_columns_get_none(tmp_path: Path, columns: dict[str, tuple[object, ...]]) -> None:
    path = table(tmp_path / "trials.csv", **columns)
    frame = pd.read_csv(path)
    if "key" in frame:
        frame["key"] = [f"key {place}" for place in range(len(frame))]
    if "case" in frame:
        # What is the same for a case, or a size, sets no trials apart.
        frame["group"] = frame["case"].map({"a": "ill", "b": "well"})
        frame["stage"] = np.where(frame["size"] > 2, "late", "early")
    frame.to_csv(path, index=False)
    assert [curve.warnings for curve in read_curves(path)] == [()] * frame.get(
        "arm", pd.Series(["a"])
    ).nunique()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_tables_of_studies_are_used_whole(path: Path) -> None:
    assert not [curve.warnings for curve in read_curves(path) if curve.warnings]


def test_tables_of_a_run_are_used_whole(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", tasks=("blob", "ring"))
    for path in write_tables(store):
        if path.suffix == ".csv":
            curves = read_curves(path, "dice")
            assert len(curves) == 4
            assert not [curve.warnings for curve in curves if curve.warnings]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("size,error,arm\n1,0.5,a\n2,0.4,\n", "line 3: arm is blank"),
        ("size,error\n1,0.5\n2,bad\n", "line 3: error is 'bad', expected a number"),
        ("size,error\n1,0.5\n,0.4\n", "line 3 has no size, expected a number"),
        ("size,error\n", "has no rows"),
    ],
)
def test_what_is_wrong_in_a_file_gets_a_sentence(
    tmp_path: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text, encoding="utf-8")
    assert run(["fit", str(path)]) == 1
    assert sentence in capsys.readouterr().err

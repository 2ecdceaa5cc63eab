"""One complete run: its numbers, its files, and what it does not depend on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medscale.data.cohort import open_cohort
from medscale.study.config import StudyConfig
from medscale.study.records import TrialRecord, read_record
from medscale.study.runstore import RunStore
from medscale.study.trial import trial_rows
from medscale_cli.__main__ import run
from medscale_cli.study_request import StudyRequest, study_config

pytestmark = pytest.mark.xdist_group("e2e-run")

GRID = ("--aug", "none,red", "--sizes", "1..4", "--replicates", "2,4:1")
"""Ten trials: two arms at 1, 2 (twice) and 4 images."""

FLAGS = (
    *("--dataset", "phantom", "--task", "lv", "--set", "phantom.subjects=24"),
    *("--set", "phantom.size=64", "--shape", "32", "--set", "res_unet.width=2"),
    *("--budget", "steps=6", "--set", "train.validations=3", "--device", "cpu"),
)

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder and data home that the tests of this module share."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEDSCALE_DATA", str(folder / "home"))
        patch.setenv("COLUMNS", "200")
        yield folder


@pytest.fixture(scope="module")
def folder(place: Path) -> Path:
    """A finished run, done one trial after the other."""
    assert run(["run", *FLAGS, *GRID, "--executor", "serial", "--out", "run"]) == 0
    return place / "run"


@pytest.fixture
def say(place: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command in this process; returns its status, its output and its messages."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def records(folder: Path) -> dict[str, TrialRecord]:
    """Return every result by key."""
    found = [read_record(path) for path in folder.glob("trials/*/result.json")]
    return {record.key: record for record in found}


def repeatable(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what has to be equal to the bit, weights hash included."""
    return {key: record.repeatable() for key, record in records(folder).items()}


def content(folder: Path) -> dict[Path, bytes]:
    """Return every file with what is in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_is_printed(folder: Path, say: Say) -> None:
    code, out, said = say("run", *FLAGS, *GRID, "--out", "run")
    assert code == 0
    assert "phantom · lv · res_unet" in out
    for word in ("none", "red", "Dice", "BCE", "trials"):
        assert word in out
    assert len([line for line in out.splitlines() if line.startswith("│")]) == 3
    for line in (
        "study    phantom: lv; arms none, red",
        "data     24 cases of 24 subjects at 32×32",
        "sizes    1, 2, 4; replicates 2, 1 from n = 4",
        "budget   6 steps, batches of 8; checkpoint by dice",
        "nothing to do: all 10 trials were done already",
        "figure   run/curve.png",
    ):
        assert line in said
    assert say("results", "run")[1] == out


def test_without_a_task_it_is_the_main_one_and_said(folder: Path, say: Say) -> None:
    nameless = [flag for flag in FLAGS if flag not in ("--task", "lv")]
    code, _, said = say("run", *nameless, *GRID, "--out", "run")
    assert code == 0
    assert "note     --task was not given: lv it is (there are rv, myo, heart, too)" in said
    assert "nothing to do: all 10 trials were done already" in said


def test_figures_are_pictures(folder: Path) -> None:
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    figure = (folder / "curve.svg").read_text()
    assert "<svg" in figure
    for word in ("none", "red", "1 − Dice (test)", "BCE (test)"):
        assert word in figure


@pytest.mark.parametrize(("name", "rows"), [("results", 10), ("cases", 60)])
def test_csv_and_parquet_hold_the_same(folder: Path, name: str, rows: int) -> None:
    csv = pd.read_csv(folder / f"{name}.csv")
    parquet = pd.read_parquet(folder / f"{name}.parquet")
    assert len(csv) == rows
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False, check_exact=True)


def test_tables_say_what_the_records_say(folder: Path) -> None:
    by_key = records(folder)
    table = pd.read_parquet(folder / "results.parquet").set_index("key")
    assert set(table.index) == set(by_key)
    for key, record in by_key.items():
        row = table.loc[key]
        assert row["size"] == record.spec.size
        assert row["arm"] == record.spec.arm[0].name
        assert row["weights"] == record.weights
        dice = [case["dice"] for case in record.cases]
        assert row["dice"] == record.summary["dice"] == pytest.approx(sum(dice) / len(dice))


def test_histories_have_a_row_per_validation(folder: Path) -> None:
    for record in records(folder).values():
        assert [row["step"] for row in record.history] == [2, 4, 6]
        assert record.summary["steps"] == 6
        best = max(record.history, key=lambda row: row["dice"])
        assert record.summary["validation_dice"] == best["dice"]


def test_results_as_json(folder: Path, say: Say) -> None:
    code, out, _ = say("results", "run", "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    table = pd.read_parquet(folder / "results.parquet")
    assert [row["key"] for row in rows] == list(table["key"])
    assert [row["dice"] for row in rows] == pytest.approx(list(table["dice"]), abs=1e-9)


def test_results_rebuild(folder: Path, place: Path, say: Say) -> None:
    shutil.copytree(folder, place / "copy")
    before = content(place / "copy")
    for name in ("results.csv", "cases.parquet", "curve.png"):
        (place / "copy" / name).unlink()
    assert say("results", "copy", "--rebuild")[0] == 0
    assert content(place / "copy") == before


def test_arms_share_subsets_and_subsets_are_nested(folder: Path, place: Path) -> None:
    (cached,) = (place / "home" / "cache" / "cohorts").iterdir()
    cohort = open_cohort(cached)
    rows: dict[tuple[int, int, str], tuple[int, ...]] = {}
    for trial in RunStore(folder).plan():
        split, train = trial_rows(trial.spec, cohort)
        assert len(train) == trial.spec.size
        assert not set(train) & {*split.test, *split.validation}
        rows[trial.spec.size, trial.spec.replicate, trial.arm] = train
    for (size, replicate, _), train in rows.items():
        assert train == rows[size, replicate, "none"] == rows[size, replicate, "red"]
        if size > 1:
            assert set(train) > set(rows[size // 2, replicate, "none"])
    assert rows[2, 0, "none"] != rows[2, 1, "none"]


def test_arms_share_initial_weights(place: Path, say: Say) -> None:
    # At a learning rate that rounds to nothing, the trained weights are the initial ones.
    frozen = ("--set", "train.learning_rate=1e-60", "--sizes", "1", "--replicates", "2")
    flags = (*FLAGS, *GRID, *frozen, "--executor", "serial", "--out", "frozen")
    assert say("run", *flags)[0] == 0
    weights: dict[int, set[str]] = {}
    for record in records(place / "frozen").values():
        weights.setdefault(record.spec.replicate, set()).add(record.weights)
    assert [len(found) for found in weights.values()] == [1, 1]
    assert weights[0] != weights[1]


def test_an_arm_that_changes_nothing_is_the_baseline_to_the_bit(place: Path, say: Say) -> None:
    arms = ("--aug", "none,off=red,red", "--set", "off.prob=0", "--set", "red.prob=1")
    grid = (*arms, "--sizes", "2", "--replicates", "1", "--executor", "serial")
    assert say("run", *FLAGS, *grid, "--out", "still")[0] == 0
    weights = {
        trial.arm: read_record(place / "still/trials" / trial.spec.key / "result.json").weights
        for trial in RunStore(place / "still").plan()
    }
    assert weights["off"] == weights["none"] != weights["red"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_results_do_not_depend_on_jobs_and_executor(
    folder: Path, place: Path, say: Say, jobs: str
) -> None:
    out = f"jobs-{jobs}"
    assert say("run", *FLAGS, *GRID, "--executor", "process", "--jobs", jobs, "--out", out)[0] == 0
    assert repeatable(place / out) == repeatable(folder)
    assert (place / out / "cases.csv").read_bytes() == (folder / "cases.csv").read_bytes()


def test_plan_writes_nothing_and_counts_right(folder: Path, place: Path, say: Say) -> None:
    before = content(folder)
    wider = (*FLAGS, *GRID, "--sizes", "1..8")
    code, out, said = say("plan", *wider, "--out", "run")
    assert code == 0
    assert "12 trials, 10 done, 2 to do: about" in said
    cells = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
    counts = {
        (arm.strip(), int(size)): (int(trials), int(done))
        for _, _, arm, size, trials, done in cells
    }
    assert counts == {
        (arm, size): (2 if size < 4 else 1, {1: 2, 2: 2, 4: 1, 8: 0}[size])
        for arm in ("none", "red")
        for size in (1, 2, 4, 8)
    }
    assert content(folder) == before

    code, _, said = say("plan", *FLAGS, *GRID, "--out", "new")
    assert code == 0
    assert "10 trials, 0 done, 10 to do" in said
    assert not (place / "new").exists()


STUDY = """
dataset = "phantom"
task = "lv"
aug = "none,red"
sizes = "1..4"
replicates = "2,4:1"
shape = 32
budget = "steps=6"

[train]
validations = 3

[plugins.phantom]
subjects = 24
size = 64

[plugins.res_unet]
width = 2
"""


def test_a_study_file_is_the_same_as_flags(folder: Path, place: Path, say: Say) -> None:
    (place / "study.toml").write_text(STUDY)
    before = content(folder)
    flags = ("--config", "study.toml", "--device", "cpu", "--out", "run")
    code, _, said = say("run", *flags)
    assert code == 0
    assert "nothing to do: all 10 trials were done already" in said
    assert content(folder) == before
    # Flags win over the file.
    code, _, said = say("plan", *flags, "--sizes", "1,2", "--aug", "red")
    assert code == 0
    assert "4 trials, 4 done" in said


def test_preview_draws_a_picture(place: Path, say: Say) -> None:
    flags = ("--dataset", "phantom", "--task", "lv", "--set", "phantom.subjects=24")
    small = ("--set", "phantom.size=64", "--shape", "32", "--cases", "1", "--samples", "2")
    code, _, said = say("preview", *flags, *small, "--aug", "red", "--set", "red.prob=1")
    assert code == 0
    assert "picture  previews/phantom-lv-red.png" in said
    assert (place / "previews" / "phantom-lv-red.png").read_bytes().startswith(b"\x89PNG")


def configuration(**changes: Any) -> StudyConfig:
    """Return the study of `--dataset phantom --task lv` and some changes to a request."""
    request: dict[str, Any] = {
        "study": {"dataset": "phantom", "task": "lv"},
        "preset": "default",
        "file": None,
        "settings": (),
        "data": None,
        "out": None,
        "device": "cpu",
        "jobs": None,
        "threads": 1,
        "executor": "process",
    }
    config = study_config(StudyRequest(**request | changes))
    assert isinstance(config, StudyConfig)
    return config


def test_the_preset_paper_is_the_published_protocol(tmp_path: Path) -> None:
    config = configuration(preset="paper")
    assert config.prepare.resolved_shape(2) == (512, 512)
    assert config.prepare.intensity == "minmax"
    assert (config.train.budget, config.train.amount) == ("epochs", 50)
    assert config.train.batch_size == 8
    assert config.train.learning_rate == 1e-4
    assert config.train.warmup == 0.1
    assert config.train.patience == 10
    assert (config.train.loss, config.train.selection) == ("bce", "bce")
    assert config.train.initialisation == "xavier"
    assert config.split.max_validation is None
    assert [config.replicates_at(size) for size in (1, 8, 15, 16, 256)] == [20, 20, 20, 10, 10]
    # Defaults of plugins are not its business: the network's are the published ones anyway.
    assert config.plugins == {}
    (tmp_path / "study.toml").write_text('preset = "paper"\n[train]\npatience = 3\n')
    from_file = configuration(file=tmp_path / "study.toml", settings=("train.amount=7",))
    assert (from_file.train.patience, from_file.train.amount) == (3, 7)
    assert from_file.replicates == config.replicates


def test_without_a_preset_small_subsets_get_as_many_steps(tmp_path: Path) -> None:
    config = configuration()
    assert (config.train.budget, config.train.amount) == ("steps", 500)
    assert config.sizes == (1, 2, 4, 8, 16)
    assert [config.replicates_at(size) for size in (1, 256)] == [5, 5]

"""One run folder, many commands: what may grow, and what is another study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.outcomes import results

from medscale.study.runstore import RunStore
from medscale_cli.__main__ import run

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(
    home: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a tiny study in `run`, in this process; returns the exit status and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    base = (*tiny, "--budget", "steps=4", "--sizes", "1,2", "--replicates", "1")

    def call(*flags: str) -> tuple[int, str]:
        code = run(["run", *base, "--out", "run", "--executor", "serial", *flags])
        return code, capsys.readouterr().err

    return call


def content(folder: Path) -> dict[Path, bytes]:
    """Return every file with what is in it, the lock left out."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--seed", "1"], ["seed is 0 there and 1 here"]),
        (["--budget", "steps=5"], ["training.amount is 4 there and 5 here"]),
        (["--set", "train.batch_size=2"], ["training.batch_size is 8 there and 2 here"]),
        (["--set", "augmentation.flip=0"], ["augmentation.flip is 0.5 there and 0.0 here"]),
        (["--set", "split.test=0.3"], ["split_options.test is 0.25 there and 0.3 here"]),
        (["--set", "phantom.subjects=25"], ["dataset.options.subjects is 24 there and 25 here"]),
        (["--shape", "16"], ["prepare.shape is", "there and 16 here"]),
        (["--set", "res_unet.width=3"], ["backbone 'res_unet'", "options.width (2 there, 3 here)"]),
        (
            ["--aug", "red", "--set", "red.prob=1"],
            ["arm 'red'", "options.prob (0.1 there, 1.0 here)", "--aug my_red=red"],
        ),
        (["--aug", "again=red"], ["holds this arm as 'red', not 'again'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_another_study_is_refused_naming_what_differs(
    say: Say, tmp_path: Path, flags: list[str], names: list[str]
) -> None:
    assert say("--aug", "none,red", "--sizes", "1")[0] == 0
    before = content(tmp_path / "run")
    code, said = say("--aug", "none,red", "--sizes", "1", *flags)
    assert code == 1
    error = said.strip().splitlines()[-1]
    assert error.startswith("error: run holds ")
    assert [name for name in names if name not in error] == [], error
    assert "choose another --out" in error
    assert content(tmp_path / "run") == before


def test_replicates_sizes_and_arms_may_grow(say: Say, tmp_path: Path) -> None:
    assert say()[0] == 0
    seen = results(tmp_path / "run")
    assert len(seen) == 2
    for flags, count in (
        (["--replicates", "2"], 4),
        (["--replicates", "2", "--sizes", "1..4"], 6),
        (["--replicates", "2", "--sizes", "1..4", "--aug", "none,red"], 12),
        (["--replicates", "3,2:1", "--sizes", "1..4", "--aug", "none,red"], 14),
    ):
        assert say(*flags)[0] == 0
        grown = results(tmp_path / "run")
        assert len(grown) == count
        assert grown.items() >= seen.items()
        rows = (tmp_path / "run" / "results.csv").read_text().splitlines()
        assert len(rows) == count + 1
        seen = grown


def test_a_smaller_grid_is_a_part_of_the_run(say: Say, tmp_path: Path) -> None:
    assert say()[0] == 0
    before = content(tmp_path / "run")
    code, said = say("--sizes", "2")
    assert code == 0
    assert "nothing to do: all 1 trials were done already" in said
    assert content(tmp_path / "run") == before


def test_one_augmenter_under_two_labels_is_two_arms(say: Say, tmp_path: Path) -> None:
    arms = ("--aug", "red,strong=red", "--set", "strong.prob=1")
    assert say(*arms)[0] == 0
    trials = RunStore(tmp_path / "run").plan()
    assert [trial.arm for trial in trials] == ["red", "strong"] * 2
    assert len({trial.spec.key for trial in trials}) == 4
    probabilities = {trial.arm: trial.spec.arm[0].options["prob"] for trial in trials}
    assert probabilities == {"red": 0.1, "strong": 1.0}
    assert len({record["weights"] for record in results(tmp_path / "run").values()}) == 4
    assert "nothing to do" in say(*arms)[1]

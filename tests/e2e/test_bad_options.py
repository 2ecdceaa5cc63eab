"""Options, study files and folders that are wrong: one sentence that names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.e2e.outcomes import Say

OPTIONS = [
    (["--sizes", "0,4"], ["--sizes", "'0,4'", "at least 1"]),
    (["--sizes", "many"], ["--sizes", "'many'", "1..256"]),
    (["--sizes", ""], ["--sizes", "expected"]),
    (["--sizes", "8..2"], ["--sizes", "'8..2'", "rises"]),
    (["--sizes", "1..99999:+1"], ["--sizes", "larger step"]),
    (["--sizes", "1..512"], ["--sizes asks for", "512", "give sizes up to"]),
    (["--replicates", "0"], ["--replicates", "at least 1"]),
    (["--replicates", "few"], ["--replicates", "'few'", "20,16:10"]),
    (["--replicates", "4:3"], ["--replicates", "begin with"]),
    (["--splits", "0"], ["splits", "greater than or equal to 1"]),
    (["--splits", "x"], ["--splits", "valid integer", "run --help"]),
    (["--jobs", "0"], ["--jobs", "greater than or equal to 1"]),
    (["--seed", "-1"], ["seed", "greater than or equal to 0"]),
    (["--aug", "redd"], ["no augmenter is called 'redd'", "did you mean red?"]),
    (["--aug", "none,"], ["--aug got ''", "strong=red"]),
    (["--aug", "a=red,a=none"], ["--aug", "one label for two arms"]),
    (["--aug", "a b=red"], ["--aug got 'a b=red'", "expected"]),
    (["--aug", "red,again=red"], ["--aug got red and again", "--set again.OPTION=VALUE"]),
    (["--backbone", "res_unett"], ["no backbone is called 'res_unett'", "did you mean res_unet"]),
    (["--recipe", "segment"], ["no recipe is called 'segment'", "segmentation"]),
    (["--executor", "proces"], ["no executor is called 'proces'", "did you mean process?"]),
    (["--dataset", "phantm"], ["no dataset is called 'phantm'", "did you mean phantom?"]),
    (["--task", "lvv"], ["no task 'lvv'", "did you mean lv"]),
    (["--set", "phantm.subjects=30"], ["phantm", "did you mean phantom?"]),
    (["--set", "red.prob=1"], ["red", "belongs to nothing in this study"]),
    (["--aug", "red", "--set", "red.probb=1"], ["option red.probb", "did you mean prob?"]),
    (["--set", "train.batchsize=4"], ["option train.batchsize", "did you mean batch_size?"]),
    (["--aug", "red", "--set", "red.prob=5"], ["red.prob", "'5'", "less than or equal to 1"]),
    (["--aug", "red", "--set", "red.prob=x"], ["red.prob", "'x'", "valid number"]),
    (["--set", "train.learning_rate=nan"], ["train.learning_rate", "finite"]),
    (["--set", "nonsense"], ["--set got 'nonsense'", "NAME.OPTION=VALUE"]),
    (["--set", "phantom.subjects={"], ["--set phantom.subjects", "not JSON"]),
    (["--set", "process.grace=-1"], ["process.grace", "greater than or equal to 0"]),
    (["--budget", "50"], ["--budget got '50'", "steps=500"]),
    (["--budget", "hours=3"], ["budget", "'hours'", "'steps'"]),
    (["--budget", "steps=0"], ["amount", "greater than or equal to 1"]),
    (["--shape", "32,32,32"], ["--shape", "3 axes", "the images 2"]),
    (["--shape", "30"], ["res_unet cannot take the shape (30, 30)", "choose another --shape"]),
    (["--shape", "4"], ["shape", "'4'", "8 to 4096"]),
    (["--device", "gpu"], ["--device got 'gpu'", "give cpu"]),
    (["--device", "cuda:99"], ["--device got 'cuda:99'", "give cpu"]),
    (["--preset", "papr"], ["no preset is called 'papr'", "did you mean paper?"]),
    (["--data", "nowhere"], ["--data nowhere is no folder"]),
    (["--bogus"], ["--bogus", "run --help"]),
    (["extra"], ["extra", "run --help"]),
]


@pytest.mark.parametrize(("flags", "words"), OPTIONS, ids=[" ".join(row[0]) for row in OPTIONS])
def test_a_bad_option_is_one_sentence_and_writes_nothing(
    say: Say, tiny: tuple[str, ...], tmp_path: Path, flags: list[str], words: list[str]
) -> None:
    code, error = say("run", *tiny, "--sizes", "1,2", *flags, "--out", "run")
    assert code == 1
    assert [word for word in words if word not in error] == [], error
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_on_a_machine_without(say: Say, tiny: tuple[str, ...], tmp_path: Path) -> None:
    code, error = say("run", *tiny, "--device", "cuda", "--out", "run")
    assert code == 1
    assert "--device got 'cuda'" in error
    assert "give cpu" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--dataset is missing", "medscale list dataset"]),
        (["--dataset", "folder"], ["--data DIR"]),
        (["--dataset", "acdc", "--task", "lv"], ["--data DIR", "medscale data"]),
    ],
)
def test_a_missing_option_is_named(say: Say, flags: list[str], words: list[str]) -> None:
    code, error = say("run", *flags)
    assert code == 1
    assert [word for word in words if word not in error] == [], error


FILES = [
    ("sizes = [1,", ["study.toml is not valid TOML"]),
    ("sizs = '1,2'", ["sizs", "did you mean sizes"]),
    ("preset = 'papr'", ["no preset is called 'papr'"]),
    ("train = 3", ["train got 3", "table"]),
    ("aug = 3", ["arms got 3"]),
    ("sizes = 'many'", ["--sizes got 'many'"]),
    ("[train]\nbatchsize = 4", ["train.batchsize", "did you mean batch_size?"]),
    ("[plugins.phantom]\nsubject = 24", ["phantom.subject", "did you mean subjects?"]),
    ("[plugins.red]\nprob = 1", ["red", "belongs to nothing in this study"]),
]


@pytest.mark.parametrize(("text", "words"), FILES, ids=[row[0] for row in FILES])
def test_a_bad_study_file_is_one_sentence(
    say: Say, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "study.toml").write_text(text)
    flags = ["--dataset", "phantom", "--task", "lv", "--config", "study.toml", "--out", "run"]
    code, error = say("run", *flags)
    assert code == 1
    assert [word for word in words if word not in error] == [], error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_study_file_that_cannot_be_read(say: Say, tmp_path: Path, name: str) -> None:
    code, error = say("run", "--config", name, "--out", "run")
    assert code == 1
    assert f"cannot read {name}" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["results"], ["results", "--json"], ["status"]])
def test_a_folder_that_is_no_run(say: Say, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("nowhere", "photos"):
        code, error = say(*command, name)
        assert code == 1
        assert f"{name} is no run folder" in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "has schema None"),
        ('{"schema": 99}', "has schema 99"),
        ("{", "study.json is damaged"),
    ],
)
def test_a_run_folder_that_cannot_be_read(
    say: Say, tiny: tuple[str, ...], tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.json").write_text(text)
    for command in (
        ["results", "run"],
        ["status", "run"],
        ["run", *tiny, "--sizes", "1", "--out", "run"],
    ):
        code, error = say(*command)
        assert code == 1
        assert "run/study.json" in error
        assert words in error
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["study.json"]


def test_out_is_a_folder_of_something_else(say: Say, tiny: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    code, error = say("run", *tiny, "--sizes", "1", "--out", "photos")
    assert code == 1
    assert "photos is not empty and no run folder (it holds cat.png): choose another --out" in error
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.png"]


DOCUMENTS = [
    ("{", ["work.json is damaged", "give the same `medscale run` command again"]),
    ("[]", ["work.json holds a list", "give the same `medscale run` command again"]),
    ("{}", ["work.json is a work document of version None", "the medscale that wrote it"]),
    ('{"version": 2, "new": 1}', ["work.json is a work document of version 2"]),
    (
        '{"version": 1}',
        ["work.json is not a work document (run: ", "give the same `medscale run` command again"],
    ),
]


@pytest.mark.parametrize(("text", "words"), DOCUMENTS, ids=[row[0] for row in DOCUMENTS])
def test_a_worker_refuses_a_bad_document(
    say: Say, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "work.json").write_text(text)
    code, error = say("worker", "--document", "work.json", "--id", "w0")
    assert code == 1
    assert [word for word in words if word not in error] == [], error
    assert [path.name for path in tmp_path.iterdir()] == ["work.json"]


def test_a_worker_without_its_cohort(say: Say, tmp_path: Path) -> None:
    document = {"version": 1, "run": "run", "cohort": "nowhere", "cache": "cache"}
    document |= {"device": "cpu", "threads": 1, "trials": []}
    (tmp_path / "work.json").write_text(json.dumps(document))
    code, error = say("worker", "--document", "work.json", "--id", "w0")
    assert code == 1
    assert "no prepared cohort in nowhere" in error


def test_names_with_brackets_are_no_markup(say: Say, tiny: tuple[str, ...], tmp_path: Path) -> None:
    flags = [*tiny, "--sizes", "1", "--replicates", "1", "--executor", "serial"]
    assert say("run", *flags, "--out", "[red]run[").code == 0
    assert say("status", "[red]run[").code == 0

"""The page says how a run was made, and its study file makes it again."""

from __future__ import annotations

from pathlib import Path

from tests.core.report.synthetic_run import synthetic_run

from medscale.report.findings import find
from medscale.report.protocol import protocol
from medscale.study.config import StudyConfig
from medscale_cli.study_request import StudyRequest, study_config


def test_the_study_file_asks_for_the_same_study(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", sizes=(1, 3, 9), replicates=2)
    (run,) = find([store.folder], baseline=None)
    (request,) = protocol(run).requests
    file = tmp_path / request.file
    file.write_text(request.study, encoding="utf-8")
    again = study_config(
        StudyRequest(
            study={},
            preset="default",
            file=file,
            settings=(),
            data=None,
            out=None,
            device="cpu",
            jobs=1,
            threads=1,
            executor="serial",
        )
    )
    assert again == StudyConfig.model_validate(store.study()["requests"][0]["study"])
    assert request.command == "medscale run --config run-study.toml --data DIR --device cpu"


def test_a_run_that_grew_has_a_file_for_each_study(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", sizes=(1, 2))
    synthetic_run(tmp_path / "run", sizes=(1, 2))
    synthetic_run(tmp_path / "run", sizes=(1, 2, 4))
    (run,) = find([store.folder], baseline=None)
    files = [request.file for request in protocol(run).requests]
    assert files == ["run-study-1.toml", "run-study-2.toml"]


def test_no_path_of_the_machine_is_told(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run")
    (run,) = find([store.folder], baseline=None)
    assert str(tmp_path) not in str(protocol(run))
    assert "runs/toys" not in str(protocol(run))


def test_the_test_set_and_the_options_are_told(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run")
    (run,) = find([store.folder], baseline=None)
    made = protocol(run)
    rows = dict(made.rows)
    assert rows["Test blob"] == "6 images of 6 subjects"
    assert rows["Training images"] == "n = 1, 2, 4, 8, 16"
    assert rows["Network tiny"] == "tiny (note = tiny); 1,234 parameters"
    assert ("training.learning_rate", "0.003") in made.options
    assert ("git changes", "no") in made.versions
    assert made.notes == ("a note on toys",)

"""`medscale report`: from run folders to a page and its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale_cli.__main__ import run

STUDY = (
    *("--dataset", "phantom", "--task", "lv", "--aug", "none,red", "--sizes", "2,4"),
    *("--replicates", "1", "--set", "phantom.subjects=24", "--set", "phantom.size=64"),
    *("--shape", "32", "--set", "res_unet.width=2", "--budget", "steps=4", "--device", "cpu"),
    *("--set", "red.prob=1", "--executor", "serial", "--out", "study"),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_a_study_gets_a_page_with_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", *STUDY]) == 0
    capsys.readouterr()
    assert run(["report", "study"]) == 0
    folder = tmp_path / "study" / "report"
    assert "page     study/report/report.html" in capsys.readouterr().err
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 2
    for name in ("samples-red", "segmentations-1"):
        assert (folder / "figures" / f"study-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in html


def test_without_the_prepared_images_the_page_says_so(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "run", sizes=(1, 2))
    assert run(["report", "run", "--out", "page"]) == 0
    html = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "The prepared images are not on this machine any more" in html
    assert "data:image/png" not in html


def test_a_file_is_no_place_for_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic_run(tmp_path / "run", sizes=(1, 2))
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert run(["report", "run", "--out", "file"]) == 1
    assert "--out got file, which is a file; expected a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_where_no_folder_can_be_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_run(tmp_path / "run", sizes=(1, 2))
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "page")
    assert run(["report", "run", "--out", "link"]) == 1
    assert "--out got link, where no folder can be made" in capsys.readouterr().err
    assert run(["report", "run", "--out", "long" * 100]) == 1
    assert "that name is too long; choose a shorter one" in capsys.readouterr().err


def test_the_target_and_the_baseline_can_be_chosen(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "run")
    command = ["report", "run", "--out", "page", "--no-pictures", "--target", "dice=0.7"]
    assert run([*command, "--baseline", "red"]) == 0
    html = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "Dice 0.70" in html
    assert "Dice 0.90" not in html
    assert "with red" in html.split("</h1>")[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere is no run folder"),
        (["run", "--target", "dice=90"], "--target got 'dice=90', expected a share below 1"),
        (["run", "--target", "bce=0.1"], "--target got 'bce=0.1', and the page speaks of Dice"),
        (["run", "--baseline", "rde"], "no arm is called 'rde': did you mean red?"),
        (["run", "nowhere"], "nowhere is no run folder"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    synthetic_run(tmp_path / "run", sizes=(1, 2), replicates=1)
    assert run(["report", *arguments]) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_a_run_without_results_has_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_run(tmp_path / "run", sizes=(1,), replicates=1, failed=2)
    assert run(["report", "run"]) == 1
    assert "is done yet" in capsys.readouterr().err

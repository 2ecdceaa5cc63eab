"""`medscale register`, and `preview --registration`: from a command line to stored pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from medscale_cli.__main__ import run

PHANTOM = ["--dataset", "phantom", "--task", "lv", "--shape", "32"]
PHANTOM += ["--set", "phantom.subjects=14", "--set", "phantom.size=64"]
SMALL = [*PHANTOM, "--set", "reg.targets_per_source=2", "--set", "lddmm.iterations=[4,4]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def register(*more: str) -> int:
    return run(["register", *SMALL, "--threads", "1", *more])


def test_it_registers_reports_and_does_nothing_twice(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register("--sources", "3") == 0
    out, log = capsys.readouterr()
    assert "pairs    6 of 3 images" in log
    assert "6 pairs of 3 images, 0 failed" in log
    assert "folds    0 of 6 pairs" in log
    assert "all pairs" in out
    assert "kept by the gate" in out
    files = sorted(path for path in (home / "cache" / "fields").rglob("*") if path.is_file())
    assert register("--sources", "3") == 0
    assert "nothing to do" in capsys.readouterr().err
    again = sorted(path for path in (home / "cache" / "fields").rglob("*") if path.is_file())
    assert again == files


def test_more_sources_add_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    assert register("--sources", "1") == 0
    assert register("--sources", "2") == 0
    log = capsys.readouterr().err
    assert "done     2 pairs" in log
    assert "4 pairs of 2 images" in log


def test_verify_names_a_flipped_byte(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register("--sources", "1") == 0
    assert register("--verify") == 0
    assert "whole" in capsys.readouterr().err
    (chunk,) = (home / "cache" / "fields").rglob("c.*")
    data = bytearray(chunk.read_bytes())
    data[5] ^= 1
    chunk.write_bytes(data)
    assert register("--verify") == 1
    assert str(chunk) in capsys.readouterr().err


def test_an_arm_that_registers_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["register", *PHANTOM, "--aug", "red"]) == 1
    assert "registers nothing" in capsys.readouterr().err


def test_preview_draws_pairs(tmp_path: Path) -> None:
    assert run(["preview", *SMALL, "--aug", "reg", "--cases", "2", "--registration"]) == 0
    assert (tmp_path / "previews" / "phantom-lv-reg-registration.png").stat().st_size > 10_000


def test_a_run_after_register_uses_its_pairs(home: Path) -> None:
    assert register() == 0
    stored = {path: path.stat().st_mtime_ns for path in (home / "cache" / "fields").rglob("c.*")}
    assert stored
    arguments = [*SMALL, "--aug", "reg", "--sizes", "1", "--replicates", "1", "--budget", "steps=2"]
    arguments += ["--set", "res_unet.width=2", "--executor", "serial"]
    assert run(["run", *arguments, "--set", "reg.targets=pool"]) == 0
    after = {path: path.stat().st_mtime_ns for path in (home / "cache" / "fields").rglob("c.*")}
    assert after == stored

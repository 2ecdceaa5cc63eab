"""`medscale list`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medscale.registry import PluginRecord
from medscale_cli import listing, probe
from medscale_cli.listing_command import list_plugins

HEAVY = {"torch", "monai", "numpy", "scipy", "pandas", "zarr", "pydantic", "typer", "rich", "email"}
BROKEN = ("asserting", "exiting", "import_error", "future", "wrong_type", "misnamed", "missing")

app = typer.Typer()
app.command("list")(list_plugins)


def run_medscale(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "medscale_cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_everything_is_listed_beside_what_is_broken(fake_dists: Path) -> None:
    done = run_medscale(["list"])
    assert done.returncode == 0, done.stderr
    for name in ("good", "twin", "between", "phantom", "segmentation", *BROKEN):
        assert f" {name} " in done.stdout
    assert "arithmetic is off" in done.stdout
    assert "plugins cannot be used" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("arguments", [[], ["datasets"], ["--json"]])
def test_listing_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from medscale_cli import __main__\n"
        f"sys.argv[1:] = ['list', *{arguments!r}]\n"
        "try:\n    __main__.main()\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "phantom" in done.stdout
    assert not HEAVY & set(done.stderr.splitlines()[-1].split())


def test_listing_loads_no_target(fake_dists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.fast_path([]) == 0
    assert "sleeping" in capsys.readouterr().out
    assert not {"fake_targets", "fake_options", "fake_target_sleeps"} & set(sys.modules)


def test_columns_are_aligned(fake_dists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing.fast_path([])
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if not line.startswith(" ")]
    column = rows[0].index("DISTRIBUTION")
    assert rows[0].split() == ["KIND", "NAME", "VERSION", "STATUS", "DISTRIBUTION", "SUMMARY"]
    assert all(row[column - 2 : column] == "  " and row[column] != " " for row in rows)
    assert "\x1b" not in "".join(lines)
    (good,) = [row for row in rows if row.startswith("dataset") and " good " in row]
    assert good.endswith("Nothing wrong with this one")


def test_a_terminal_gets_colour(
    fake_dists: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    listing.fast_path(["registrar"])
    assert "\x1b[33mmissing-dependency" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    listing.fast_path(["registrar"])
    assert "\x1b" not in capsys.readouterr().out


def test_what_a_plugin_says_cannot_break_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    rude = PluginRecord(
        "dataset", "toy", "someb\x1b[2Jody", "1\n0", "m:SPEC", "broken", "two\nlines", "\x1b]0;a\rb"
    )
    listing._print_table([rude])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("two lines")
    assert lines[2] == "  ]0;a b"
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("kind", ["dataset", "datasets", "Datasets"])
def test_one_kind(kind: str, fake_dists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.fast_path([kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"dataset"}


def test_an_unknown_kind_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.fast_path(["augmentor"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: no kind of plugin is called 'augmentor': did you mean augmenter?\n"
    )


def test_a_kind_without_plugins(
    fake_dists: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medscale.discovery.find", list)
    assert listing.fast_path(["registrar"]) == 0
    assert capsys.readouterr().err == "no registrar is installed\n"


def test_json_schema_is_stable(fake_dists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.fast_path(["--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    (future,) = [row for row in rows if row["name"] == "future"]
    assert future == {
        "kind": "dataset",
        "name": "future",
        "version": "0.1",
        "distribution": "medscale-dataset-future",
        "status": "incompatible",
        "summary": "From a later year",
        "message": "written for plugin API 99, this medscale has 1: upgrade medscale",
        "value": "fake_future:SPEC",
    }


def test_strict_fails_where_a_row_is_not_ok(
    fake_dists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listing.fast_path(["--strict"]) == 1
    assert listing.fast_path(["executor", "--strict"]) == 0
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["dataset", "backbone"], ["--jsno"], ["-h"], [""]]
)
def test_what_the_fast_path_does_not_know_is_left_to_typer(arguments: list[str]) -> None:
    assert listing.fast_path(arguments) is None


def test_check_survives_crash_exit_hang_and_noise(
    fake_dists: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 15.0)
    assert listing.fast_path(["executor", "--check", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["chatty"]["status"] == rows["failing"]["status"] == "ok"
    messages = {name: row["message"] for name, row in rows.items() if row["status"] == "broken"}
    assert messages["sleeping"] == "importing it takes longer than 15 s"
    assert messages["aborting"] == "importing it ends Python (SIGABRT)"
    assert messages["quitting"].startswith("SystemExit: 0 at ")
    assert messages["raising"].startswith("ValueError: the target fails at ")
    assert len(messages) == 4


def test_check_and_strict_together_fail(
    fake_dists: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        probe, "probe_all", lambda specs: [probe.Verdict("it is broken") for _ in specs]
    )
    assert listing.fast_path(["executor", "--check", "--strict"]) == 1
    assert capsys.readouterr().out.count("it is broken") == 6


def test_the_typer_command_prints_the_same(
    fake_dists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.fast_path(["dataset"])
    result = CliRunner().invoke(app, ["dataset"])
    assert result.exit_code == 0
    assert result.stdout == capsys.readouterr().out
    assert CliRunner().invoke(app, ["--strict"]).exit_code == 1

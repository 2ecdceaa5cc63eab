"""What an augmenter says about what it learned stays with the trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medscale_cli.__main__ import run


def test_the_record_says_how_many_registrations_were_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    arguments = ["run", "--dataset", "phantom", "--task", "lv", "--shape", "32", "--sizes", "2"]
    for setting in (
        "phantom.subjects=14",
        "phantom.size=64",
        "res_unet.width=2",
        "reg.targets_per_source=3",
        "lddmm.iterations=4",
    ):
        arguments += ["--set", setting]
    arguments += ["--aug", "none,reg", "--replicates", "1", "--budget", "steps=2"]
    out = tmp_path / "run"
    assert run([*arguments, "--executor", "serial", "--out", str(out)]) == 0
    learned = [json.loads(path.read_text())["learned"] for path in out.glob("trials/*/result.json")]
    assert {} in learned
    (facts,) = [entry["reg"] for entry in learned if entry]
    assert facts["pairs"] == 6
    assert facts["used"] + sum(facts["turned away"].values()) >= facts["pairs"]

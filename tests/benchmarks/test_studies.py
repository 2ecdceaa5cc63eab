"""The pages of docs/results are made of runs, and their study files are studies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks import studies

from medscale.study.runstore import RunStore
from medscale_cli.__main__ import run
from medscale_cli.study_request import StudyRequest, study_config


@pytest.mark.parametrize("path", sorted(studies.PAGES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_is_one(path: Path) -> None:
    request = StudyRequest(
        study={},
        preset="default",
        file=path,
        settings=(),
        data=None,
        out=None,
        device="cpu",
        jobs=1,
        threads=1,
        executor="serial",
    )
    config = study_config(request)
    labels = [arm.label for arm in config.arms]
    assert labels[0] == studies.BASELINE
    assert {"strong", "reg", "gen"} <= set(labels)
    if path.stem in ("acdc-lv", "hippocampus", "xray-lungs"):
        assert "red" in labels
        assert config.replicates_at(max(config.sizes)) >= 5


def test_a_page_says_what_a_run_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "PAGES", tmp_path)
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    study = tmp_path / "toys.toml"
    study.write_text(
        '# Procedural hearts.\ndataset = "phantom"\naug = "none,red"\nsizes = "1,2"\n'
        'replicates = 2\nshape = 32\nbudget = "steps=4"\n[plugins.phantom]\nsubjects = 16\n'
        "size = 64\n[plugins.res_unet]\nwidth = 2\n",
        encoding="utf-8",
    )
    out = tmp_path / "toys"
    assert run(["run", "--config", str(study), "--executor", "serial", "--out", str(out)]) == 0

    page = studies.write("toys", RunStore(out))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# toys\n\nProcedural hearts.\n")
    for part in ("| n | none: Dice / BCE | red: Dice / BCE |", "Dice error:", "BCE:", "| all |"):
        assert part in text
    assert "8 of 8 trials" in text
    assert (tmp_path / "toys.png").is_file()
    assert len((tmp_path / "toys.csv").read_text(encoding="utf-8").splitlines()) == 1 + 8

    shutil.rmtree(next((out / "trials").iterdir()))
    assert "7 of 8 trials" in studies.page("toys", RunStore(out))

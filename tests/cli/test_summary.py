"""The scores of a run on terminals of any width."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from medscale.report import tables
from medscale.study.runstore import RunStore
from medscale_cli import summary

ARMS = ("none", "red", "strong", "[reg]", "gen")


def shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    replicates: int = 2,
) -> list[str]:
    rows = [
        {"arm": arm, "size": size, "dice": 0.1 * place + 0.01 * size + 0.002 * replicate}
        for place, arm in enumerate(ARMS)
        for size in (1, 2, 16)
        for replicate in range(replicates)
        if (arm, size) != ("gen", 16)
    ]
    trials = pd.DataFrame(rows).assign(
        dataset="toys", task="lv", backbone="tiny", bce=0.1234, predicted=0.1
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(tables, "trial_table", lambda store: trials)
    summary.show_results(RunStore(Path("nowhere")))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [60, 80, 250])
def test_no_number_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    text = "\n".join(shown(monkeypatch, capsys, columns))
    assert "…" not in text
    for place, arm in enumerate(ARMS):
        assert arm in text
        assert f"{0.1 * place + 0.011:.3f} ± 0.001" in text


def test_arms_are_beside_each_other_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wide, narrow = (shown(monkeypatch, capsys, columns) for columns in (250, 80))
    assert sum("± 0.001" in line for line in wide) == 3
    # One line for each arm and size, but for the one that no trial has.
    assert sum("± 0.001" in line for line in narrow) == 3 * len(ARMS) - 1
    assert sum(line.count("0.1234") for line in wide) == 3 * len(ARMS) - 1


def test_the_spread_says_what_it_is_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    several, single = (shown(monkeypatch, capsys, 250, replicates) for replicates in (2, 1))
    assert "± the standard deviation over trials" in several
    assert "±" not in "\n".join(single)

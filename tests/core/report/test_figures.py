"""Learning curves are drawn whatever the scores and the names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.report.figures import learning_curves, mean_interval, save


def _trials(tasks: tuple[str, ...] = ("lv",), **changes: Any) -> pd.DataFrame:
    """Return the table of a small run; a change is the value of a whole column."""
    rows = [
        {"task": task, "arm": arm, "size": size, "replicate": replicate}
        for task in tasks
        for arm in ("none", "red")
        for size in (1, 2, 4, 8)
        for replicate in (0, 1, 2)
    ]
    table = pd.DataFrame(rows).assign(dataset="toys", backbone="tiny", split=0, predicted=0.2)
    error = (0.5 + 0.05 * table["replicate"]) * table["size"] ** -0.5
    return table.assign(dice=1 - error, bce=error / 2).assign(**changes)


def _svg(table: pd.DataFrame, folder: Path, name: str = "curves") -> str:
    save(learning_curves(table), folder / name)
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def _texts(svg: str) -> list[str]:
    """Parse the SVG and return the texts in it."""
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if node.text]


def test_a_figure_is_written_for_screen_and_print(tmp_path: Path) -> None:
    files = save(learning_curves(_trials(("lv", "myo"))), tmp_path / "deep" / "curves")
    assert [path.name for path in files] == ["curves.png", "curves.svg"]
    picture = matplotlib.image.imread(files[0])
    assert picture.shape[0] > 400
    assert picture.shape[1] > 400
    assert picture[..., :3].std() > 0.05
    texts = _texts(files[1].read_text(encoding="utf-8"))
    for expected in ("toys · lv", "toys · myo", "training images n", "none", "red"):
        assert expected in texts
    for size in "1248":
        assert size in texts


def test_curves_show_the_means_of_the_errors() -> None:
    table = _trials(("lv", "myo"))
    axes = learning_curves(table).axes[0]
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert set(drawn) == {"none", "red"}
    none = table[(table["task"] == "lv") & (table["arm"] == "none")]
    expected = (1 - none["dice"]).groupby(none["size"]).mean()
    np.testing.assert_array_equal(np.asarray(drawn["none"].get_xdata()), expected.index)
    np.testing.assert_allclose(np.asarray(drawn["none"].get_ydata()), expected)
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_networks_have_curves_of_their_own() -> None:
    both = pd.concat([_trials(), _trials(backbone="wide")])
    labels = {line.get_label() for line in learning_curves(both).axes[0].get_lines()}
    assert labels == {f"{arm} · {net}" for arm in ("none", "red") for net in ("tiny", "wide")}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    _svg(_trials(), tmp_path, "one")
    _svg(_trials(), tmp_path, "two")
    for suffix in ("svg", "png"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_one_trial_is_a_figure(tmp_path: Path) -> None:
    assert "toys · lv" in _texts(_svg(_trials().head(1), tmp_path))


@pytest.mark.parametrize("dice", [1.0, 0.0])
def test_perfect_and_hopeless_scores_are_drawn(tmp_path: Path, dice: float) -> None:
    assert "red" in _texts(_svg(_trials(dice=dice, bce=1 - dice), tmp_path))


def test_one_perfect_trial_is_drawn_at_the_lower_edge() -> None:
    table = _trials()
    table.loc[0, "dice"] = 1.0
    axes = learning_curves(table).axes[0]
    heights = np.concatenate(
        [np.asarray(dots.get_offsets())[:, 1] for dots in axes.collections[::3]]
    )
    assert axes.get_ylim()[0] > 0
    assert heights.min() == pytest.approx((1 - table["dice"][1:]).min() / 2, rel=0.2)


def test_errors_of_many_magnitudes_are_drawn(tmp_path: Path) -> None:
    table = _trials()
    table["bce"] = np.geomspace(1e-7, 50, len(table))
    assert "red" in _texts(_svg(table, tmp_path))


def test_many_sizes_do_not_crowd_the_axis() -> None:
    table = pd.concat([_trials().head(1).assign(size=size) for size in range(1, 61)])
    ticks = learning_curves(table).axes[0].get_xticks()
    assert 3 < len(ticks) <= 9


def test_a_network_that_predicts_background_is_marked(tmp_path: Path) -> None:
    note = "× predicts background everywhere"
    assert note not in _texts(_svg(_trials(), tmp_path))
    table = _trials()
    table.loc[0, "predicted"] = 0.0
    assert note in _texts(_svg(table, tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "$\\frac$",
        "$x",
        "a_{b}^",
        "50 % & more",
        "<script>alert(1)</script>",
        "]]>\"'",
        "Größe–β",
        "{curly}",
    ],
)
def test_names_are_text_and_nothing_else(tmp_path: Path, name: str) -> None:
    table = _trials(dataset=name, backbone=name)
    table["task"] = name
    table["arm"] = table["arm"] + name
    svg = _svg(table, tmp_path)
    assert "<script" not in svg
    texts = _texts(svg)
    assert f"{name} · {name}" in texts
    assert f"red{name}" in texts


def test_the_interval_of_a_mean() -> None:
    # t(0.975, 3) = 3.182446; the standard error of 1, 2, 3, 4 is 0.6455.
    low, high = mean_interval(np.array([1.0, 2.0, 3.0, 4.0]), np.inf)
    assert [low, high] == pytest.approx([0.4457, 4.5543], abs=1e-3)


@pytest.mark.parametrize("values", [[2.5], [1.0, 2.0]])
def test_of_one_or_two_values_there_is_no_interval(values: list[float]) -> None:
    assert np.isnan(mean_interval(np.array(values), np.inf)).all()
    # The curve is drawn all the same.
    table = _trials()
    table = table[table["replicate"] < len(values)]
    line = learning_curves(table).axes[0].get_lines()[0]
    assert np.isfinite(np.asarray(line.get_ydata())).all()


@given(st.lists(st.floats(0, 100), min_size=3, max_size=10))
def test_an_interval_holds_its_mean_and_ends_where_errors_do(values: list[float]) -> None:
    low, high = mean_interval(np.array(values), 100.0)
    mean = float(np.mean(values))
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 100

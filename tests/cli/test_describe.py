"""`medscale describe`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from medscale import discovery
from medscale.config import Options, parse_settings, validate
from medscale.discovery import find_object
from medscale.errors import PluginError
from medscale.registry import Registry
from medscale.study.groups import OPTION_GROUPS
from medscale_cli.describe import REQUIRED, Description, describe, describe_name, list_options
from medscale_cli.listing import fast_path

app = typer.Typer()
app.command()(describe)


def options_of(description: Description) -> dict[str, tuple[str, str, str]]:
    return {row.name: (row.type, row.default, row.description) for row in description.options}


def test_facts_of_a_plugin(fakes: Registry) -> None:
    description = describe_name("good", "dataset", fakes)
    assert description.facts["summary"] == "Nothing wrong with this one"
    assert description.facts["cite"] == "Nobody 2020"
    assert description.facts["url"] == "docs/good.html"
    assert description.facts["distribution"] == "medscale-dataset-good 0.1"
    assert description.facts["file"].endswith("fake_targets.py")
    assert description.facts["tasks"] == "lesion (anything bright)"


def test_options_come_from_the_model(fakes: Registry) -> None:
    assert options_of(describe_name("good", "datasets", fakes)) == {
        "strength": ("number ≥ 0, ≤ 1", "0.5", "share of the way, no unit"),
        "mode": ("near | far", "near", "where to look"),
        "shape": ("[integer, integer] | none", "none", "pixels along each axis"),
        "grid.spacing": ("number > 0", "2.0", "distance of the points, mm"),
    }


def test_options_that_are_none_are_refused(
    fakes: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_name("good", "dataset", fakes)
    monkeypatch.setattr(discovery, "find_object", lambda target: dict)
    with pytest.raises(PluginError, match=r"fake_options:FakeOptions is no subclass of medscale"):
        describe_name("good", "dataset", fakes)


def test_a_required_option_says_so() -> None:
    class Needy(Options):
        folder: str = Field(description="where")

    (row,) = list_options(Needy)
    assert row.default == REQUIRED


def test_the_example_works(fakes: Registry) -> None:
    example = describe_name("good", "dataset", fakes).example
    settings = parse_settings([example.removeprefix("--set ").strip("'")])
    validate(find_object("fake_options:FakeOptions"), settings["good"], "good")


def test_an_ambiguous_name_asks_for_the_kind(fakes: Registry) -> None:
    with pytest.raises(PluginError, match=r"2 plugins \(augmenter, dataset\).*--kind augmenter"):
        describe_name("good", "", fakes)


def test_a_conflict_is_not_called_ambiguous(fakes: Registry) -> None:
    with pytest.raises(PluginError, match="conflict"):
        describe_name("twin", "", fakes)


def test_a_broken_plugin_raises_its_own_first_error(fakes: Registry) -> None:
    with pytest.raises(PluginError, match="arithmetic is off") as raised:
        describe_name("asserting", "", fakes)
    assert isinstance(raised.value.__cause__, AssertionError)


def test_a_missing_library_is_a_fact(fakes: Registry) -> None:
    assert "a_module_that_is_nowhere" in describe_name("missing", "", fakes).facts["status"]


def test_an_unknown_name_gets_its_neighbours(fakes: Registry) -> None:
    with pytest.raises(PluginError, match="nothing is called 'trian': did you mean train"):
        describe_name("trian", "", fakes)


@pytest.mark.parametrize("name", sorted(OPTION_GROUPS))
def test_groups_of_core_options(name: str, fakes: Registry) -> None:
    description = describe_name(name, "", fakes)
    assert description.kind == "options"
    assert description.options
    assert all(row.description for row in description.options)


def test_it_prints_a_table(fake_dists: Path) -> None:
    result = CliRunner().invoke(app, ["good", "--kind", "dataset"], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    for text in ("dataset good", "Nobody 2020", "grid.spacing", "distance of the points, mm"):
        assert text in result.output
    assert "example: --set good.strength=0.5" in result.output


def test_json(fake_dists: Path) -> None:
    result = CliRunner().invoke(app, ["good", "--kind", "dataset", "--json"])
    answer = json.loads(result.stdout)
    assert answer["options"][0]["name"] == "strength"
    assert answer["schema"]["properties"]["strength"]["default"] == 0.5


def test_every_installed_plugin_that_is_ok_can_be_described(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fast_path(["--json"]) == 0
    registry = Registry()
    for row in json.loads(capsys.readouterr().out):
        if row["status"] == "ok":
            assert describe_name(row["name"], row["kind"], registry).facts["summary"]

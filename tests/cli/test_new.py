"""`medscale new`."""

from __future__ import annotations

import ast
import os
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import medscale
from medscale.errors import ConfigError, MedscaleError, StoreError
from medscale.spec import KINDS
from medscale_cli import new as new_module
from medscale_cli.new import create, new

app = typer.Typer()
app.command("new")(new)


@pytest.mark.parametrize("kind", KINDS)
def test_every_placeholder_is_filled(kind: str, tmp_path: Path) -> None:
    folder = create(kind, "my_wave", tmp_path)
    assert folder == tmp_path / f"medscale-{kind}-my-wave"
    module = f"medscale_{kind}_my_wave"
    assert (folder / "src" / module / "py.typed").is_file()
    assert (folder / "src" / module / "__init__.py").read_text(encoding="utf-8") == ""
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            for word in ("plugin_", "plugin-", "PluginClass", "PluginOptions", "core-version"):
                assert word not in text.replace("plugin-author", ""), f"{word} is left in {path}"
                assert word not in str(path.relative_to(tmp_path))
        if path.suffix == ".py":
            ast.parse(path.read_text(encoding="utf-8"))


def test_project_declares_the_plugin(tmp_path: Path) -> None:
    folder = create("dataset", "hospital", tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "medscale-dataset-hospital"
    assert project["entry-points"] == {
        "medscale.datasets": {"hospital": "medscale_dataset_hospital.spec:SPEC"}
    }
    major, minor, _ = medscale.__version__.split(".")
    assert project["dependencies"] == [f"medscale>={major}.{minor},<{major}.{int(minor) + 1}"]


def test_classes_are_named_after_the_plugin(tmp_path: Path) -> None:
    folder = create("augmenter", "two_words", tmp_path)
    package = folder / "src" / "medscale_augmenter_two_words"
    assert "class TwoWordsAugmenter:" in (package / "augmenter.py").read_text(encoding="utf-8")
    assert "class TwoWordsOptions(" in (package / "config.py").read_text(encoding="utf-8")


def test_a_name_like_a_placeholder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = create("recipe", "plugin_kind", tmp_path)
    spec = (folder / "src/medscale_recipe_plugin_kind/spec.py").read_text(encoding="utf-8")
    assert 'name="plugin_kind"' in spec


def test_next_commands_are_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["backbone", "wave", "--out", str(tmp_path / "my plugins")])
    assert done.exit_code == 0, done.output
    folder = f"'{tmp_path / 'my plugins' / 'medscale-backbone-wave'}'"
    commands = [line.strip() for line in done.output.splitlines() if line.startswith("  ")]
    assert commands == [f"pip install -e {folder}", f"pytest {folder}", "medscale list backbone"]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("augmentor", "wave", "no kind of plugin is called 'augmentor': did you mean augmenter?"),
        ("dataset", "My-Data", "plugin name got 'My-Data', expected lower-case"),
        ("dataset", "3d", "plugin name got '3d'"),
        ("dataset", "wave_", "plugin name got 'wave_'"),
        ("dataset", "a__b", "plugin name got 'a__b'"),
        ("dataset", "../up", "plugin name got '../up'"),
        ("augmenter", "red", "augmenter 'red' is declared by medscale-augmenter-red already"),
    ],
)
def test_what_cannot_be_is_one_sentence(kind: str, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        create(kind, name, tmp_path / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "medscale-dataset-wave"
    folder.mkdir()
    (folder / "mine.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(StoreError, match="exists already"):
        create("dataset", "wave", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_interrupted_halfway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        create("dataset", "wave", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_template_of_an_installed_wheel_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_template").mkdir()
    monkeypatch.setattr(new_module, "__file__", str(tmp_path / "new.py"))
    assert new_module._template() == tmp_path / "_template"


def test_errors_are_for_people() -> None:
    assert issubclass(ConfigError, MedscaleError)
    assert issubclass(StoreError, MedscaleError)

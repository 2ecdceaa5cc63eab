"""Finding declared plugins, and loading one."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from medscale import discovery
from medscale.spec import KINDS, PluginSpec, group

FAKE_DISTS = Path(__file__).parents[1] / "fake_dists"


def write_dist(folder: Path, name: str, entries: str, version: str = "1.0") -> Path:
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(entries)
    return metadata


def as_the_library_finds(path: Iterable[str]) -> set[tuple[str, str, str, str, str]]:
    """What importlib.metadata itself says, first distribution of a name first."""
    found: dict[str, set[tuple[str, str, str, str, str]]] = {}
    groups = {group(kind): kind for kind in KINDS}
    for distribution in importlib.metadata.distributions(path=list(path)):
        name = distribution.metadata["Name"]
        found.setdefault(
            name.lower().replace("-", "_").replace(".", "_"),
            {
                (groups[entry.group], entry.name, entry.value, name, distribution.version)
                for entry in distribution.entry_points
                if entry.group in groups
            },
        )
    return set().union(*found.values())


@pytest.mark.parametrize("path", [sys.path, [str(FAKE_DISTS)], [str(FAKE_DISTS), *sys.path]])
def test_folders_are_read_as_importlib_metadata_reads_them(path: list[str]) -> None:
    assert {tuple(row[:5]) for row in discovery.find(path)} == as_the_library_finds(path)


def test_every_plugin_of_the_repository_is_found() -> None:
    declared = {(row.kind, row.name) for row in discovery.find()}
    assert {("dataset", "phantom"), ("executor", "serial"), ("recipe", "segmentation")} <= declared


def test_finding_imports_nothing() -> None:
    before = set(sys.modules)
    discovery.find([str(FAKE_DISTS)])
    assert not {name for name in set(sys.modules) - before if name.startswith("fake_")}


def test_a_renamed_entry_point_is_seen_at_once(tmp_path: Path) -> None:
    metadata = write_dist(tmp_path, "my-plugin", "[medscale.datasets]\nold = m.spec:SPEC\n")
    assert [row.name for row in discovery.find([str(tmp_path)])] == ["old"]
    (metadata / "entry_points.txt").write_text("[medscale.datasets]\nnew = m.spec:SPEC\n")
    assert [row.name for row in discovery.find([str(tmp_path)])] == ["new"]


def test_the_first_distribution_of_a_name_on_the_path_wins(tmp_path: Path) -> None:
    write_dist(tmp_path / "first", "my-plugin", "[medscale.datasets]\na = m:SPEC\n", "2.0")
    write_dist(tmp_path / "second", "my.plugin", "[medscale.datasets]\nb = m:SPEC\n", "1.0")
    rows = discovery.find([str(tmp_path / "first"), str(tmp_path / "second")])
    assert [(row.name, row.version) for row in rows] == [("a", "2.0")]


def test_a_distribution_without_plugins_shadows_too(tmp_path: Path) -> None:
    write_dist(tmp_path / "first", "my-plugin", "[console_scripts]\na = m:main\n")
    write_dist(tmp_path / "second", "my-plugin", "[medscale.datasets]\nb = m:SPEC\n")
    assert discovery.find([str(tmp_path / "first"), str(tmp_path / "second")]) == []


def test_comments_other_groups_and_unknown_kinds_are_passed_over(tmp_path: Path) -> None:
    text = (
        "# about [medscale.datasets]\n[console_scripts]\nx = m:main\n"
        "[medscale.wizards]\ny = m:Y\n\n[medscale.datasets]\n# z\n  a  =  m:SPEC  \n"
    )
    write_dist(tmp_path, "my-plugin", text)
    assert [(row.name, row.value) for row in discovery.find([str(tmp_path)])] == [("a", "m:SPEC")]


@pytest.mark.parametrize("path", ["nowhere", "", "a_file"])
def test_odd_entries_of_the_path_are_no_error(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("no archive")
    assert discovery.find([path]) == []


def test_damaged_metadata_still_gives_a_row(tmp_path: Path) -> None:
    metadata = write_dist(tmp_path, "my-plugin", "[medscale.datasets]\na = m:SPEC\n")
    (metadata / "METADATA").unlink()
    (row,) = discovery.find([str(tmp_path)])
    assert (row.distribution, row.version) == ("my_plugin", "unknown")


def test_distributions_inside_an_archive_are_found(tmp_path: Path) -> None:
    write_dist(tmp_path / "folder", "my-plugin", "[medscale.datasets]\na = m:SPEC\n")
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in sorted((tmp_path / "folder").rglob("*")):
            out.write(file, file.relative_to(tmp_path / "folder").as_posix())
    (row,) = discovery.find([str(archive)])
    assert (row.name, row.distribution, row.version) == ("a", "my-plugin", "1.0")


def test_distributions_of_an_import_hook_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = write_dist(tmp_path, "hooked-plugin", "[medscale.datasets]\nhooked = m:SPEC\n")

    class Hook:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            return None

        def find_distributions(self, context: object) -> Iterable[importlib.metadata.Distribution]:
            return [importlib.metadata.PathDistribution(metadata)]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    assert "hooked" in {row.name for row in discovery.find()}


def test_one_name_is_loaded_through_stevedore(fake_dists: Path) -> None:
    spec = discovery.load("dataset", "good")
    assert isinstance(spec, PluginSpec)
    assert "stevedore.named" in sys.modules
    assert "fake_assert" not in sys.modules


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        ("augmenter", "asserting", AssertionError),
        ("backbone", "exiting", SystemExit),
        ("dataset", "import_error", ModuleNotFoundError),
        ("dataset", "nobody", LookupError),
    ],
)
def test_loading_passes_the_first_error_through(
    kind: str, name: str, error: type[BaseException], fake_dists: Path
) -> None:
    with pytest.raises(error):
        discovery.load(kind, name)


def test_an_object_is_found_as_an_entry_point_finds_it() -> None:
    for value in ("json:loads", "os:path.join", "json : loads", "json:loads [extra]"):
        expected = importlib.metadata.EntryPoint("", value, "").load()
        assert discovery.find_object(value) is expected


def test_editable_installs_tell_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = write_dist(tmp_path, "edited-plugin", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert discovery.editable_folder("edited-plugin") is None
    origin = {"url": "file:///some%20where/plugin", "dir_info": {"editable": True}}
    (metadata / "direct_url.json").write_text(json.dumps(origin))
    assert discovery.editable_folder("edited-plugin") == "/some where/plugin"
    (metadata / "direct_url.json").write_text("{torn")
    assert discovery.editable_folder("edited-plugin") is None
    shutil.rmtree(metadata)
    assert discovery.editable_folder("edited-plugin") is None


def test_installed_versions() -> None:
    assert discovery.installed_version("stevedore")
    assert discovery.installed_version("no-such-distribution") is None

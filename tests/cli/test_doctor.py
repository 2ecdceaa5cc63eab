"""`medscale doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medscale import discovery
from medscale.registry import Registry
from medscale.spec import PLUGIN_API, PluginSpec
from medscale_cli import doctor as doctor_module
from medscale_cli import probe
from medscale_cli.doctor import FAULT, OK, WARNING, Finding, doctor, examine_plugins

app = typer.Typer()
app.command()(doctor)

PLUGINS = Path(__file__).parents[2] / "plugins"

SOMEBODY_S = """
from medscale.config import Options, plugin_option
from medscale.spec import PluginSpec

def spec(kind, name, target, config):
    return PluginSpec(kind=kind, name=name, summary="", api=1,
                      target=f"somebody_s:{target}", config=f"somebody_s:{config}")

class Ruler:
    def __init__(self, config, context):
        self.marks = 10

class Survey:
    def __init__(self, config, context):
        assert context.uses["tool"].plugin.marks == 10
        assert context.uses["tool"].identity["behavior"] == 1

    def fit(self, view):
        pass

    def augment(self, batch, generator):
        return batch

class Blunt(Survey):
    augment = property()

class Nets:
    def __init__(self, config, context):
        pass

    def build(self, *, in_channels, out_channels):
        pass

class Needy(Options):
    site: str

class SurveyOptions(Options):
    tool: str = plugin_option("registrar", default="ruler", description="who measures")

class LostOptions(Options):
    tool: str = plugin_option("registrar", default="rulr", description="nobody has it")

RULER = spec("registrar", "ruler", "Ruler", "Options")
"""


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for this machine, whose state no test may depend on."""
    monkeypatch.setattr(doctor_module, "examine_machine", lambda: [Finding("python", OK, "3")])


def examine(registry: Registry, kind: str, name: str) -> Finding:
    (finding,) = examine_plugins([registry.record(kind, name)])
    return finding


def test_the_machine_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "not" / "yet"))
    findings = {finding.subject: finding for finding in doctor_module.examine_machine()}
    assert {"python", "medscale", "torch", "numpy", "zarr", "accelerator", "CPU cores"} <= set(
        findings
    )
    assert findings["data folder"].state in (OK, WARNING)
    assert str(tmp_path) in findings["data folder"].text
    assert not (tmp_path / "not").exists()


def test_a_data_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "a_file"))
    findings = {finding.subject: finding for finding in doctor_module.examine_machine()}
    assert findings["data folder"].state == FAULT
    assert "set MEDSCALE_DATA" in findings["data folder"].text


def test_a_missing_library_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "installed_version", lambda name: None)
    findings = {finding.subject: finding for finding in doctor_module.examine_machine()}
    assert findings["zarr"].state == FAULT
    assert findings["monai"].state == WARNING


def test_a_good_plugin_is_ok(fakes: Registry) -> None:
    assert examine(fakes, "dataset", "good").state == OK


def test_a_constructor_that_raises_is_shown_with_its_traceback(fakes: Registry) -> None:
    finding = examine(fakes, "executor", "failing")
    assert finding.state == FAULT
    assert finding.text.startswith("RuntimeError: the constructor fails at ")
    assert "Traceback" in finding.detail
    assert "fake_targets.py" in finding.detail


def test_every_bundled_plugin_is_without_fault() -> None:
    bundled = {"medscale", *(folder.name for folder in PLUGINS.glob("medscale-*"))}
    records = [record for record in Registry().records if record.distribution in bundled]
    assert {record.distribution for record in records} == bundled
    findings = examine_plugins(records)
    assert [finding for finding in findings if finding.state != OK] == []


def probe_somebody_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, target: str, config: str
) -> probe.Verdict:
    """Construct a plugin of `SOMEBODY_S` in a child process."""
    metadata = tmp_path / "somebody_s-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: somebody-s\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[medscale.registrars]\nruler = somebody_s:RULER\n")
    (tmp_path / "somebody_s.py").write_text(SOMEBODY_S)
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(tmp_path), *([inherited] if inherited else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    spec = PluginSpec(
        kind=kind,
        name="survey",
        summary="",
        api=PLUGIN_API,
        target=f"somebody_s:{target}",
        config=f"somebody_s:{config}",
        requires=("json",),
    )
    return probe.probe(spec, construct=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("SurveyOptions", ""),
        ("LostOptions", "no registrar is called 'rulr': did you mean ruler?"),
    ],
)
def test_a_plugin_gets_the_plugins_that_its_defaults_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    verdict = probe_somebody_s(tmp_path, monkeypatch, "augmenter", "Survey", options)
    assert verdict.message.startswith(message)
    assert bool(verdict.message) == bool(message), verdict.traceback


@pytest.mark.parametrize(
    ("kind", "target", "config", "message"),
    [
        ("augmenter", "Blunt", "SurveyOptions", "it lacks augment, which every augmenter needs"),
        (
            "backbone",
            "Nets",
            "Options",
            "build() cannot be called with in_channels, out_channels, spatial_shape: got an "
            "unexpected keyword argument 'spatial_shape'",
        ),
    ],
)
def test_what_a_class_lacks_of_its_protocol_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    target: str,
    config: str,
    message: str,
) -> None:
    verdict = probe_somebody_s(tmp_path, monkeypatch, kind, target, config)
    assert verdict.message.startswith(message), verdict


def test_an_option_without_a_default_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = probe_somebody_s(tmp_path, monkeypatch, "backbone", "Nets", "Needy")
    assert verdict.message == ""
    assert "backbone 'survey' needs its option site: give it with --set" in verdict.note


def test_a_crash_and_a_hang_show_where(fakes: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "fake_target_aborts.py" in examine(fakes, "executor", "aborting").detail
    monkeypatch.setattr(probe, "TIMEOUT", 8.0)
    finding = examine(fakes, "executor", "sleeping")
    assert "longer than 8 s" in finding.text
    assert "fake_target_sleeps.py" in finding.detail


def test_a_broken_spec_shows_its_first_error(fakes: Registry) -> None:
    finding = examine(fakes, "augmenter", "asserting")
    assert finding.state == FAULT
    assert "fake_assert.py" in finding.detail


def test_a_stale_editable_install_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    project = '[project.entry-points."medscale.datasets"]\nnew_name = "m.spec:SPEC"\n'
    (sources / "pyproject.toml").write_text(f'[project]\nname = "edited-plugin"\n{project}')
    metadata = tmp_path / "site" / "edited_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: edited-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[medscale.datasets]\nold_name = m.spec:SPEC\n")
    origin = {"url": sources.as_uri(), "dir_info": {"editable": True}}
    (metadata / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    records = Registry().named("old_name")
    stale = [row for row in examine_plugins(records) if row.subject == "edited-plugin"]
    assert [row.state for row in stale] == [FAULT]
    assert "dataset new_name, dataset old_name" in stale[0].text
    assert f"re-install it: pip install -e {sources}" in stale[0].text

    (metadata / "entry_points.txt").write_text("[medscale.datasets]\nnew_name = m.spec:SPEC\n")
    fresh = examine_plugins(Registry().named("new_name"))
    assert "edited-plugin" not in {row.subject for row in fresh}


@pytest.mark.usefixtures("healthy")
def test_exit_status_and_report(fake_dists: Path) -> None:
    result = CliRunner().invoke(app, ["between"])
    assert result.exit_code == 0, result.output
    assert "0 faults" in result.output
    result = CliRunner().invoke(app, ["asserting"])
    assert result.exit_code == 1
    assert "arithmetic is off" in result.output
    assert "1 fault" in result.output


@pytest.mark.usefixtures("healthy")
def test_json(fake_dists: Path) -> None:
    result = CliRunner().invoke(app, ["future", "--json"])
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert rows[-1]["subject"] == "dataset future"
    assert set(rows[-1]) == {"subject", "state", "text", "detail"}


def test_an_unknown_plugin_is_one_sentence(fake_dists: Path) -> None:
    result = CliRunner().invoke(app, ["goood"])
    assert "no plugin is called 'goood': did you mean good?" in str(result.exception)

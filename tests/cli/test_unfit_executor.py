"""`medscale run` with an executor that cannot execute."""

from __future__ import annotations

from pathlib import Path

import pytest

from medscale import discovery
from medscale.config import Options
from medscale.discovery import Found
from medscale.protocols import PluginContext
from medscale.registry import Registry
from medscale.spec import PluginSpec
from medscale_cli.__main__ import run


class Idle:
    """Has no method at all."""

    def __init__(self, config: Options, context: PluginContext) -> None: ...


IDLE = PluginSpec(
    kind="executor",
    name="idle",
    summary="a toy",
    api=1,
    target=f"{__name__}:Idle",
    config="medscale.config:Options",
)


def test_it_is_refused_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idle = Found("executor", "idle", f"{__name__}:IDLE", "medscale-idle", "1.2.0")
    registry = Registry([*discovery.find(), idle])
    monkeypatch.setattr("medscale.registry.default_registry", lambda: registry)
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    out = tmp_path / "run"
    command = ["run", "--dataset", "phantom", "--task", "lv", "--aug", "none", "--sizes", "1"]
    command += ["--set", "phantom.subjects=16", "--set", "phantom.size=32", "--shape", "32"]
    command += ["--set", "res_unet.width=2", "--executor", "idle", "--out", str(out)]
    assert run(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        "error: executor 'idle' (medscale-idle 1.2.0) cannot be used: it lacks execute, which"
    )
    assert not out.exists()

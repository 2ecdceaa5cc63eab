"""What `medscale new` writes, installs, passes its own tests, and is found."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medscale.spec import KINDS
from medscale_cli.new import create

_REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_new_plugin_works(kind: str, tmp_path: Path) -> None:
    folder, site = create(kind, "fresh_one", tmp_path), tmp_path / "site"
    _run(
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"),
        *("--no-deps", "--no-build-isolation", "--target", str(site), str(folder)),
    )
    tested = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder), site=site)
    assert " passed" in tested
    assert "failed" not in tested
    [row] = [
        row for row in _run("-m", "medscale_cli", "list", site=site).splitlines() if "fresh" in row
    ]
    assert row.split()[:4] == [kind, "fresh_one", "0.1.0", "ok"]


def test_new_plugins_are_clean(tmp_path: Path) -> None:
    """Ruff, with the repository's settings, and mypy --strict find nothing to say."""
    if not (importlib.util.find_spec("ruff") and importlib.util.find_spec("mypy")):
        pytest.skip("needs ruff and mypy")
    shutil.copy(_REPOSITORY / "pyproject.toml", tmp_path)
    folders = [create(kind, "fresh_one", tmp_path / "plugins") for kind in KINDS]
    # In the repository, core and plugins stand in one block of imports.
    own = "lint.isort.known-first-party=['medscale*']"
    _run("-m", "ruff", "check", "--no-cache", "--config", own, ".", folder=tmp_path)
    _run("-m", "ruff", "format", "--no-cache", "--check", ".", folder=tmp_path)
    sources = [str(source) for folder in folders for source in folder.glob("src/*")]
    site = os.pathsep.join(str(folder / "src") for folder in folders)
    options = ["--strict", "--cache-dir", str(tmp_path / "cache"), "--config-file", ""]
    _run("-m", "mypy", *options, *sources, folder=tmp_path, MYPYPATH=site)


def _run(*arguments: str, site: Path | None = None, folder: Path | None = None, **more: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": "", **more}
    if site is not None:
        inherited = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(site), *([inherited] if inherited else [])]
        )
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout

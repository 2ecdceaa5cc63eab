"""What the kit costs and assumes, outside the contracts themselves."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from medscale import testing
from medscale.testing import pytest_plugin
from medscale.testing.spec import ALWAYS_THERE
from medscale.testing.state import global_state_untouched

_REPOSITORY = Path(__file__).parents[3]
_CORE = _REPOSITORY / "core" / "medscale"


def test_pytest_plugin_is_light() -> None:
    """Every run of pytest on a machine with medscale imports it."""
    code = (
        "import sys, medscale.testing.pytest_plugin\n"
        "heavy = ('torch', 'numpy', 'pydantic', 'zarr', 'medscale.spec', 'medscale.testing.base')\n"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_assertions_of_every_kit_module_are_rewritten() -> None:
    modules = {f"medscale.testing.{path.stem}" for path in (_CORE / "testing").glob("*.py")}
    source = Path(pytest_plugin.__file__).read_text(encoding="utf-8")
    assert modules - {"medscale.testing.__init__", "medscale.testing.pytest_plugin"} == set(
        re.findall(r'"(medscale\.testing\.\w+)"', source)
    )


def test_failed_assertions_show_values(tmp_path: Path) -> None:
    (tmp_path / "test_plugin.py").write_text(
        "from medscale.spec import PluginSpec\n"
        "from medscale.testing import SpecTests\n"
        "class TestSpec(SpecTests):\n"
        "    spec = PluginSpec(kind='dataset', name='toy', summary='a' * 111, api=1,"
        " target='a:B', config='a:C')\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", "test_summary_is_one_line", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert "assert 111 <= 100" in done.stdout


def test_every_name_can_be_imported() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'NoTests'"):
        _ = testing.NoTests


def test_pytest_is_needed_by_the_kit_alone() -> None:
    """It is an extra, which a user of medscale does not install."""
    for folder in (_CORE, _REPOSITORY / "cli" / "medscale_cli"):
        for path in folder.rglob("*.py"):
            if path.is_relative_to(_CORE / "testing"):
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            imported = {
                name
                for node in ast.walk(tree)
                for name in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            }
            used = {name for name in imported if re.match(r"pytest|medscale\.testing", name)}
            assert not used, f"{path} imports {used}"


def test_always_there_is_what_medscale_depends_on() -> None:
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    assert names | {"medscale"} == ALWAYS_THERE


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("random", lambda: random.random()),
        ("random", lambda: random.seed(1)),
        ("numpy", lambda: np.random.rand()),  # noqa: NPY002
        ("numpy", lambda: np.random.seed(1)),  # noqa: NPY002
        ("torch", lambda: torch.rand(1)),
        ("torch", lambda: torch.manual_seed(1)),
    ],
)
def test_changes_of_global_state_are_noticed_and_undone(what, change) -> None:  # type: ignore[no-untyped-def]
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
    with pytest.raises(AssertionError, match=what), global_state_untouched():
        change()
    after = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
    assert str(before) == str(after)

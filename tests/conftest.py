"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medscale import discovery, registry

FAKE_DISTS = Path(__file__).parent / "fake_dists"


@pytest.fixture
def fake_dists(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the fake distributions the only plugins that this process and its children import.

    Discovery sees nothing of what is installed on the machine; children see both.
    """
    find = discovery.find

    def find_fakes() -> list[discovery.Found]:
        return find([str(FAKE_DISTS)])

    inherited = os.environ.get("PYTHONPATH")
    paths = [str(FAKE_DISTS), *([inherited] if inherited else [])]
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FAKE_DISTS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(discovery, "find", find_fakes)
    registry.default_registry.cache_clear()
    yield FAKE_DISTS
    registry.default_registry.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


@pytest.fixture
def fakes(fake_dists: Path) -> registry.Registry:
    """The registry of the fake distributions."""
    return registry.Registry(discovery.find())

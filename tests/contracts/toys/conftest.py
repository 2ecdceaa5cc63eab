"""Runs of a bad toy only the tests that it has to fail."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    declared: set[tuple[str, str]] = set()
    there: set[tuple[str, str]] = set()
    for item in items:
        # Pytest hands over the items of the whole run, not only those of this folder.
        if item.path.parent != Path(__file__).parent:
            kept.append(item)
            continue
        assert isinstance(item, pytest.Function)
        assert item.cls is not None
        declared |= {(item.cls.__name__, test) for test in item.cls.breaks}
        there.add((item.cls.__name__, item.originalname))
        if not item.cls.breaks or item.originalname in item.cls.breaks:
            kept.append(item)
    if declared - there:
        raise pytest.UsageError(f"no such tests: {sorted(declared - there)}")
    items[:] = kept

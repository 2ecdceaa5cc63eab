"""The conformance kit itself: good toys pass, and each of its tests fails on a bad one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from filelock import FileLock

from medscale import testing

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]
_KITS = {
    "augmenter": testing.AugmenterTests,
    "backbone": testing.BackboneTests,
    "dataset": testing.DatasetTests,
    "executor": testing.ExecutorTests,
    "recipe": testing.RecipeTests,
    "registrar": testing.RegistrarTests,
    "spec": testing.SpecTests,
}

_BY_ANOTHER_ERROR = {
    "test_batch_of_one_trains",
    "test_failing_worker_is_reported",
    "test_impossible_shape_is_one_sentence",
    "test_killed_worker_is_reported",
    "test_missing_file_is_named",
    "test_options_are_read_from_strings",
    "test_options_survive_json",
    "test_outcome_is_json",
    "test_pool_of_one_works_or_is_one_sentence",
    "test_truncated_file_is_named",
}
"""Tests that a plugin fails, among other ways, by letting an error of its own through."""


class Outcome(NamedTuple):
    """One test of the kit on one toy."""

    module: str
    toy: str
    test: str
    failure: str
    error: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Run every toy once, however many workers the suite has."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = tmp_path_factory.getbasetemp().parent if run else tmp_path_factory.mktemp("toys")
    report = folder / f"toys-{run}.xml"
    with FileLock(folder / f"toys-{run}.lock"):
        if not report.exists():
            _run_toys(report)
    return list(_read(report))


def _run_toys(report: Path) -> None:
    toys = [str(_HERE / "toys" / f"toy_{kind}.py") for kind in _KITS]
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {"PYTHONPATH": str(_REPOSITORY), "PYTEST_ADDOPTS": "", "OMP_NUM_THREADS": "1"}
    unfinished = report.with_suffix(".part")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junitxml={unfinished}", *toys],
        cwd=_REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, f"expected failures, got {done.returncode}:\n{done.stdout[-3000:]}"
    unfinished.rename(report)


def _read(report: Path) -> Iterator[Outcome]:
    for row in ElementTree.parse(report).iter("testcase"):
        *_, module, toy = row.attrib["classname"].split(".")
        found = {part: row.find(part) for part in ("failure", "error")}
        texts = {
            part: "" if element is None else element.attrib["message"] + (element.text or "")
            for part, element in found.items()
        }
        yield Outcome(module, toy, row.attrib["name"].partition("[")[0], **texts)


def _kit_tests() -> list[tuple[str, str]]:
    """Return every test of the kit with the toys' module that has to break it, or "any"."""
    every = {(f"toy_{kind}", test) for kind, kit in _KITS.items() for test in _own_tests(kit)}
    shared = {
        ("any", test)
        for kit in _KITS.values()
        for base in kit.__mro__[1:]
        for test in _own_tests(base)
    }
    return sorted(every | shared)


def _own_tests(kit: type) -> list[str]:
    return [name for name in vars(kit) if name.startswith("test_")]


def _is_good(outcome: Outcome, outcomes: list[Outcome]) -> bool:
    tests = {row.test for row in outcomes if row[:2] == outcome[:2]}
    return len(tests) > 4


def test_good_toys_pass(outcomes: list[Outcome]) -> None:
    good = [row for row in outcomes if _is_good(row, outcomes)]
    assert {row.module for row in good} == {f"toy_{kind}" for kind in _KITS}
    failed = {(row.toy, row.test): row.failure + row.error for row in good}
    assert not any(failed.values()), {key: text for key, text in failed.items() if text}


def test_bad_toys_fail_as_meant(outcomes: list[Outcome]) -> None:
    """Each test that a bad toy is run through fails, in the test itself and not in a fixture."""
    bad = [row for row in outcomes if not _is_good(row, outcomes)]
    expected = {(row.module, row.toy, row.test) for row in bad}
    failed = {(row.module, row.toy, row.test) for row in bad if row.failure}
    assert failed == expected
    assert not [row for row in bad if row.error]
    by_accident = [
        (row.toy, row.test, row.failure.splitlines()[0])
        for row in bad
        if row.failure
        and row.test not in _BY_ANOTHER_ERROR
        and not row.failure.startswith(("AssertionError", "assert ", "Failed"))
    ]
    assert not by_accident


@pytest.mark.parametrize(("module", "test"), _kit_tests())
def test_every_kit_test_fails_on_a_bad_toy(outcomes: list[Outcome], module: str, test: str) -> None:
    broken = [
        row.toy
        for row in outcomes
        if row.test == test and row.failure and module in (row.module, "any")
    ]
    assert broken, f"no toy in {module}.py fails {test}: add one"


@pytest.mark.parametrize(("module", "test"), _kit_tests())
def test_every_kit_test_says_how_to_fix(module: str, test: str) -> None:
    """The docstring has a first line, and a paragraph for the author whose plugin fails."""
    [kit, *_] = [
        kit
        for kit in _KITS.values()
        if hasattr(kit, test) and module in ("any", f"toy_{_name(kit)}")
    ]
    text = getattr(kit, test).__doc__ or ""
    assert text.strip(), f"{test} has no docstring"
    assert "How to fix:" in text, f"{test} does not say how to fix"


def _name(kit: type) -> str:
    return kit.__module__.rpartition(".")[2]

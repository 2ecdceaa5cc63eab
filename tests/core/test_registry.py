"""Every plugin as a row with a status, and loading one by name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from medscale import registry
from medscale.discovery import Found
from medscale.errors import PluginError
from medscale.registry import BROKEN, CONFLICT, INCOMPATIBLE, MISSING, OK, Registry


@pytest.mark.parametrize(
    ("kind", "name", "status", "message"),
    [
        ("dataset", "good", OK, ""),
        ("augmenter", "good", OK, ""),
        ("recipe", "between", OK, ""),
        ("executor", "sleeping", OK, ""),
        ("executor", "aborting", OK, ""),
        ("dataset", "import_error", BROKEN, "ModuleNotFoundError: No module named"),
        ("augmenter", "asserting", BROKEN, "AssertionError: arithmetic is off at "),
        ("backbone", "exiting", BROKEN, "SystemExit: no licence found at "),
        ("backbone", "no_attribute", BROKEN, "has no attribute 'NOT_THERE'"),
        ("recipe", "wrong_type", BROKEN, "fake_wrong_type:SPEC is a dict, expected"),
        ("dataset", "misnamed", BROKEN, "its spec calls itself dataset 'another_name'"),
        ("dataset", "future", INCOMPATIBLE, "API 99, this medscale has 1: upgrade medscale"),
        ("registrar", "missing", MISSING, "needs a_module_that_is_nowhere: "),
        ("augmenter", "twin", CONFLICT, "is also declared by someone-elses-twin"),
    ],
)
def test_status(fakes: Registry, kind: str, name: str, status: str, message: str) -> None:
    record = fakes.record(kind, name)
    assert record.status == status, record.message
    assert message in record.message
    assert (record.message == "") == (status == OK)


def test_a_broken_row_names_file_and_line(fakes: Registry) -> None:
    assert fakes.record("augmenter", "asserting").message.endswith("fake_assert.py:3")


def test_nothing_is_left_out(fakes: Registry) -> None:
    assert len(fakes.records) == 19
    assert {record.kind for record in fakes.named("good")} == {"augmenter", "dataset"}
    assert all(record.kind == "dataset" for record in fakes.of_kind("dataset"))


def test_both_sides_of_a_conflict_are_rows(fakes: Registry) -> None:
    rows = fakes.named("twin")
    assert [row.status for row in rows] == [CONFLICT, CONFLICT]
    assert "medscale-augmenter-twin" in rows[1].message


def test_duplicates_that_do_not_stand_side_by_side_conflict() -> None:
    found = [
        Found("dataset", "a", "fake:SPEC", "first", "1"),
        Found("dataset", "b", "fake:SPEC", "second", "1"),
        Found("dataset", "a", "fake:SPEC", "third", "1"),
    ]
    assert [record.status for record in Registry(found).records] == [CONFLICT, BROKEN, CONFLICT]


FAULTS = {
    "abort": "class Abort(BaseException): pass\nraise Abort('not today')",
    "api_text": "SPEC = spec(api='1')",
    "api_none": "SPEC = spec(api=None)",
    "api_bool": "SPEC = spec(api=True)",
    "requires_none": "SPEC = spec(requires=None)",
    "requires_number": "SPEC = spec(requires=(1,))",
    "requires_text": "SPEC = spec(requires='numpy')",
    "summary_none": "SPEC = spec(summary=None)",
    "summary_tuple": "SPEC = spec(summary=('one',))",
    "behavior": "SPEC = spec(behavior='two')",
    "silent": "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
    "late": "SPEC = spec()\nobject.__setattr__(SPEC, 'requires', 5)",
}
FINE = """
from medscale.spec import PluginSpec
def spec(**changes):
    fields = dict(kind="dataset", name="toy", summary="", api=1, target="m:C", config="m:O")
    return PluginSpec(**fields | changes)
"""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("abort", "Abort: not today"),
        ("api_text", "plugin api is '1', expected an integer"),
        ("api_none", "plugin api is None, expected an integer"),
        ("api_bool", "plugin api is True, expected an integer"),
        ("requires_none", "plugin requires is None, expected a tuple of module names"),
        ("requires_number", "plugin requires is (1,), expected a tuple of module names"),
        ("requires_text", "plugin requires is 'numpy', expected a tuple of module names"),
        ("summary_none", "plugin summary is None, expected a string"),
        ("summary_tuple", "plugin summary is ('one',), expected a string"),
        ("behavior", "plugin behavior is 'two', expected an integer"),
        ("silent", "Odd at "),
        ("late", "TypeError: 'int' object is not iterable"),
    ],
)
def test_a_wrong_spec_is_one_broken_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, message: str
) -> None:
    (tmp_path / f"fault_{fault}.py").write_text(FINE + FAULTS[fault])
    (tmp_path / "fault_free.py").write_text(FINE + "SPEC = spec(name='free')")
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = Registry(
        [
            Found("dataset", "toy", f"fault_{fault}:SPEC", "somebody-s", "1"),
            Found("dataset", "free", "fault_free:SPEC", "another-s", "1"),
        ]
    ).records
    assert [row.status for row in rows] == [BROKEN, OK]
    assert message in rows[0].message
    monkeypatch.delitem(sys.modules, "fault_free")


def test_ctrl_c_while_a_plugin_is_imported_ends_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault_stop.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        _ = Registry([Found("dataset", "toy", "fault_stop:SPEC", "somebody-s", "1")]).records


def test_options_that_are_no_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault_options.py").write_text(
        FINE
        + "class C: pass\nclass O: pass\n"
        + "SPEC = spec(target='fault_options:C', config='fault_options:O')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    toys = Registry([Found("dataset", "toy", "fault_options:SPEC", "somebody-s", "1")])
    with pytest.raises(PluginError, match=r"'toy' of somebody-s .*fault_options:O is no subclass"):
        toys.load("dataset", "toy")


def test_a_plugin_for_an_older_api_is_told_from_a_newer_one(
    fakes: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PLUGIN_API", 100)
    assert "upgrade the plugin" in fakes.record("dataset", "future").message


def test_a_module_without_a_spec_of_its_own_counts_as_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A stand-in without a spec: find_spec raises ValueError for it.
    hollow = ModuleType("hollow")
    monkeypatch.setitem(sys.modules, "hollow", hollow)
    assert registry._is_installed.__wrapped__("hollow")


def test_loading_gives_class_and_options(fakes: Registry) -> None:
    plugin = fakes.load("dataset", "good")
    assert plugin.target.__name__ == "Good"
    assert plugin.config.__name__ == "FakeOptions"
    assert plugin.version == "0.1"


@pytest.mark.parametrize(
    ("kind", "name", "cause"),
    [
        ("dataset", "import_error", ModuleNotFoundError),
        ("augmenter", "asserting", AssertionError),
        ("backbone", "exiting", SystemExit),
        ("executor", "raising", ValueError),
        ("executor", "quitting", SystemExit),
    ],
)
def test_naming_a_broken_plugin_raises_its_own_first_error(
    fakes: Registry, kind: str, name: str, cause: type[BaseException]
) -> None:
    with pytest.raises(PluginError, match=f"{kind} '{name}' of .* cannot be") as raised:
        fakes.load(kind, name)
    assert isinstance(raised.value.__cause__, cause)


@pytest.mark.parametrize(
    ("kind", "name"), [("dataset", "future"), ("augmenter", "twin"), ("registrar", "missing")]
)
def test_an_unusable_plugin_is_refused_with_its_status(
    fakes: Registry, kind: str, name: str
) -> None:
    with pytest.raises(PluginError, match=r"incompatible|conflict|missing-dependency"):
        fakes.load(kind, name)


def test_an_unknown_name_gets_its_neighbours(fakes: Registry) -> None:
    with pytest.raises(PluginError, match="no dataset is called 'goood': did you mean good"):
        fakes.load("dataset", "goood")


def test_what_a_distribution_calls_itself_cannot_speak_to_the_terminal() -> None:
    rude = Registry(
        [
            Found("dataset", "\x1b[2Jtoy", "nowhere:SPEC", "some\x1b]0;body", "1\x1b[m"),
            Found("dataset", "twin", "nowhere:SPEC", "one\x1b[2J", "1"),
            Found("dataset", "twin", "nowhere:SPEC", "two\x1b[2J", "1"),
        ]
    )
    for name in ("toys", "\x1b[2Jtoy", "twin"):
        with pytest.raises(PluginError) as raised:
            rude.load("dataset", name)
        assert str(raised.value).isprintable()
    assert all(row.message.isprintable() for row in rude.records)


def test_messages_are_one_line() -> None:
    assert registry.describe_failure(ValueError("two\n  lines")) == "ValueError: two lines"
    assert registry.describe_failure(ValueError()) == "ValueError"
    assert registry.describe_failure(ValueError("\x1b[31mred")) == "ValueError: [31mred"

"""A run folder belongs to one study, and keeps its plan, its results and its failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medscale import atomic
from medscale.data.options import PrepareOptions
from medscale.errors import StoreError
from medscale.study.plan import PlannedTrial, PluginIdentity
from medscale.study.records import FailureRecord, TrialRecord
from medscale.study.runstore import RunStore
from medscale.training.options import TrainingOptions


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _failure(key: str) -> FailureRecord:
    return FailureRecord(key=key, type="ValueError", message="no", stage="recipe")


def test_a_plan_is_kept_with_its_labels(store: RunStore, trials: list[PlannedTrial]) -> None:
    assert store.exists()
    assert store.plan() == trials
    study = store.study()
    assert set(study["labels"]["arm"]) == {"none", "red"}
    assert study["protocol"] == trials[0].spec.protocol()


def test_a_plan_grows_and_remembers_who_asked(
    store: RunStore, trials: list[PlannedTrial], make_trial: Callable[..., PlannedTrial]
) -> None:
    more = make_trial("reg", size=64, replicate=3)
    store.begin([trials[0], more], {"when": "later"})
    assert store.plan() == [*trials, more]
    assert [request["when"] for request in store.study()["requests"]] == ["now", "later"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"data": "fff"}, "data is 0123456789abcdef there and fff here"),
        (
            {"training": TrainingOptions(amount=7)},
            r"training\.amount is 500 there and 7 here",
        ),
        (
            {"dataset": PluginIdentity(name="toys", behavior=1, options={"frame": "es"})},
            r"dataset\.options\.frame is None there and es here",
        ),
        (
            {"recipe": PluginIdentity(name="segmentation", behavior=2, options={})},
            r"recipe\.behavior is 1 there and 2 here",
        ),
    ],
)
def test_another_study_is_refused_and_the_difference_named(
    store: RunStore, make_trial: Callable[..., PlannedTrial], changes: dict[str, Any], field: str
) -> None:
    before = _contents(store.folder)
    for act in (store.check, lambda trials: store.begin(trials, {})):
        with pytest.raises(StoreError, match=f"holds another study \\({field}\\).*another --out"):
            act([make_trial("none", **changes)])
    assert _contents(store.folder) == before


@pytest.mark.parametrize(
    ("there", "here", "difference"),
    [
        ({"shape": "64"}, {"shape": 48}, r"prepare\.shape is 64 there and 48 here"),
        ({}, {"shape": "32,48"}, r"prepare\.shape is the default there and \[32, 48\] here"),
        (
            {"intensity": "minmax"},
            {},
            r"prepare\.intensity is minmax there and percentile here",
        ),
        # Prepared alike: the files themselves are others.
        ({"shape": "64"}, {"shape": "64"}, "data is 0123456789abcdef there and fff here"),
    ],
)
def test_images_that_are_prepared_otherwise_are_told_in_words(
    trials: list[PlannedTrial],
    make_trial: Callable[..., PlannedTrial],
    tmp_path: Path,
    there: dict[str, Any],
    here: dict[str, Any],
    difference: str,
) -> None:
    store = RunStore(tmp_path / "run")
    asked = PrepareOptions.model_validate(there).model_dump(mode="json")
    store.begin(trials, {"study": {"prepare": asked}})
    other = [make_trial("none", data="fff")]
    with pytest.raises(StoreError, match=rf"holds another study \({difference}\)"):
        store.check(other, PrepareOptions.model_validate(here))


def test_an_option_of_the_data_set_is_named_before_the_hash_that_it_changes(
    store: RunStore, make_trial: Callable[..., PlannedTrial]
) -> None:
    dataset = PluginIdentity(name="toys", behavior=1, options={"frame": "es"})
    with pytest.raises(StoreError, match=r"\(dataset\.options\.frame is None there and es here\)"):
        store.check([make_trial("none", data="fff", dataset=dataset)])


def test_what_does_not_change_the_images_is_no_other_study(
    store: RunStore, trials: list[PlannedTrial]
) -> None:
    # 128 pixels are the default in 2-D.
    store.check(trials, PrepareOptions(shape=(128,)))


def test_the_pool_of_a_task_is_that_of_its_smallest_split(
    store: RunStore, trials: list[PlannedTrial]
) -> None:
    assert store.pool_sizes() == {}  # as an older medscale leaves it
    store.begin(trials, {"pools": {"lv": (14,), "rv": (12,)}})
    store.begin(trials, {"pools": {"lv": (14, 13, 15)}})
    assert store.pool_sizes() == {"lv": 13, "rv": 12}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arm": (PluginIdentity(name="none", behavior=1, options={"prob": 0.3}),)},
            r"arm 'none' with another options\.prob \(None there, 0\.3 here\): give this arm",
        ),
        (
            {"arm": (PluginIdentity(name="reg", behavior=1, options={}),)},
            r"arm 'none' with another name \(none there, reg here\)",
        ),
        (
            {"backbone": PluginIdentity(name="tiny", behavior=1, options={"width": 8})},
            r"backbone 'tiny' with another options\.width \(4 there, 8 here\): choose",
        ),
        ({"labels": (3,)}, r"task 'blob' with another definition \(1 there, 3 here\): choose"),
    ],
)
def test_a_label_keeps_its_meaning(
    store: RunStore,
    make_trial: Callable[..., PlannedTrial],
    changes: dict[str, Any],
    message: str,
) -> None:
    before = _contents(store.folder)
    with pytest.raises(StoreError, match=message):
        store.begin([make_trial("none", **changes)], {})
    assert _contents(store.folder) == before


def test_an_arm_has_one_label(store: RunStore, make_trial: Callable[..., PlannedTrial]) -> None:
    # Its trials would have the keys of those that are there.
    red = make_trial("red").spec.arm
    with pytest.raises(StoreError, match="holds this arm as 'red', not 'crimson'"):
        store.begin([make_trial("crimson", arm=red)], {})


def test_a_foreign_folder_is_left_alone(trials: list[PlannedTrial], tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("precious")
    (folder / ".lock").write_text("")
    before = _contents(folder)
    with pytest.raises(StoreError, match=r"not empty and no run folder \(it holds chapter\.tex\)"):
        RunStore(folder).begin(trials, {})
    assert _contents(folder) == before


def test_a_file_is_no_run_folder(trials: list[PlannedTrial], tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(StoreError, match=r"notes\.txt is a file: choose another --out"):
        RunStore(path).begin(trials, {})
    assert path.read_text() == "precious"


def test_an_empty_folder_and_a_begun_one_are_taken(
    trials: list[PlannedTrial], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    RunStore(tmp_path / "empty").begin(trials, {})
    # Killed between the plan and study.json: there is a plan, and nobody's study.
    begun = RunStore(tmp_path / "begun")
    begun.begin(trials[:1], {})
    (begun.folder / "study.json").unlink()
    assert not begun.exists()
    begun.begin(trials, {})
    assert begun.plan() == trials


def test_a_folder_without_a_study_has_no_study(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no run folder"):
        RunStore(tmp_path).study()
    assert RunStore(tmp_path / "nowhere").plan() == []


def test_a_folder_of_another_version_is_refused(
    store: RunStore, trials: list[PlannedTrial]
) -> None:
    for name in ("study.json", "plan.json"):
        content = json.loads((store.folder / name).read_text())
        atomic.write_json(store.folder / name, content | {"schema": 2})
    with pytest.raises(StoreError, match="schema 2, this medscale has 1"):
        store.check(trials)
    with pytest.raises(StoreError, match=r"plan\.json has schema 2"):
        store.plan()


def test_only_a_result_makes_a_trial_done(
    store: RunStore, trials: list[PlannedTrial], make_record: Callable[..., TrialRecord]
) -> None:
    key = trials[0].spec.key
    # Whatever else lies in its folder: it is what a killed worker may leave.
    folder = store.trial_folder(key)
    folder.mkdir(parents=True)
    (folder / ".result.json.tmp-1234").write_text("{")
    atomic.write_json(folder / "journal.json", {"done": True})
    assert not store.is_done(key)
    record = make_record(trials[0])
    store.write_result(record)
    assert store.is_done(key)
    assert store.result(key) == record
    assert not store.is_done(trials[1].spec.key)


def test_a_result_outweighs_a_failure(
    store: RunStore, trials: list[PlannedTrial], make_record: Callable[..., TrialRecord]
) -> None:
    key = trials[0].spec.key
    assert store.failure(key) is None
    store.write_failure(_failure(key))
    assert store.failure(key) == _failure(key)
    assert not store.is_done(key)
    store.write_result(make_record(trials[0]))
    assert store.failure(key) is None
    # Also one that a slower worker writes afterwards.
    store.write_failure(_failure(key))
    assert store.failure(key) is None
    assert store.is_done(key)


def test_failures_are_forgotten_before_the_next_try(
    store: RunStore, trials: list[PlannedTrial]
) -> None:
    keys = [trial.spec.key for trial in trials]
    for key in keys[:2]:
        store.write_failure(_failure(key))
    store.clear_failures([keys[0], keys[3]])
    assert store.failure(keys[0]) is None
    assert store.failure(keys[1]) is not None


def test_a_result_of_another_version_is_refused(
    store: RunStore, trials: list[PlannedTrial], make_record: Callable[..., TrialRecord]
) -> None:
    store.write_result(make_record(trials[0]))
    path = store.trial_folder(trials[0].spec.key) / "result.json"
    atomic.write_json(path, json.loads(path.read_text()) | {"schema_version": 2})
    with pytest.raises(StoreError, match="record version 2"):
        store.result(trials[0].spec.key)


def test_tidying_removes_only_what_workers_need(
    store: RunStore, trials: list[PlannedTrial], make_record: Callable[..., TrialRecord]
) -> None:
    store.write_result(make_record(trials[0]))
    before = _contents(store.folder)
    with store.claim("key"):
        assert store.work.is_dir()
    store.tidy()
    assert _contents(store.folder) == before
    assert not store.work.exists()

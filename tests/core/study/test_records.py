"""Records are read as they were written, by a medscale that knows their version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medscale import atomic
from medscale.errors import ConfigError, StoreError
from medscale.study.plan import PlannedTrial
from medscale.study.records import (
    FailureRecord,
    TrialRecord,
    failure,
    read_failure,
    read_json,
    read_record,
)


@pytest.fixture
def record(
    make_trial: Callable[..., PlannedTrial], make_record: Callable[..., TrialRecord]
) -> TrialRecord:
    return make_record(make_trial("red", size=4), dice=0.75)


def _write(path: Path, record: TrialRecord, **changes: Any) -> Path:
    atomic.write_json(path, record.model_dump(mode="json") | changes)
    return path


def test_a_result_survives_its_file(record: TrialRecord, tmp_path: Path) -> None:
    read = read_record(_write(tmp_path / "result.json", record))
    assert read == record
    assert read.spec.key == record.key


def test_what_has_to_repeat_leaves_out_when_and_how_fast(record: TrialRecord) -> None:
    again = record.model_copy(
        update={"timing": {"training": 99.0}, "environment": {"torch": "9"}, "finished": "later"}
    )
    assert again.repeatable() == record.repeatable()
    other = record.model_copy(update={"weights": "0000"})
    assert other.repeatable() != record.repeatable()


@pytest.mark.parametrize("version", [0, 2, 999, "1", None])
def test_another_version_is_refused(record: TrialRecord, tmp_path: Path, version: object) -> None:
    path = _write(tmp_path / "result.json", record, schema_version=version)
    with pytest.raises(StoreError, match=r"result\.json has record version .* reads 1: use the"):
        read_record(path)


def test_the_version_is_looked_at_first(record: TrialRecord, tmp_path: Path) -> None:
    # A newer record has fields that this medscale does not know.
    path = _write(tmp_path / "result.json", record, schema_version=2, novelty=1)
    with pytest.raises(StoreError, match="record version 2"):
        read_record(path)


@pytest.mark.parametrize(
    "changes", [{"novelty": 1}, {"key": None}, {"spec": {}}, {"cases": "none"}, {"timing": [1]}]
)
def test_a_malformed_record_is_refused(
    record: TrialRecord, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = _write(tmp_path / "result.json", record, **changes)
    with pytest.raises(StoreError, match=r"result\.json is not a trial's result"):
        read_record(path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(StoreError, match=r"result\.json"):
        read_json(path)
    with pytest.raises(StoreError, match=r"result\.json .*: delete this file and run the same"):
        read_record(path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*result\.json"):
        read_record(tmp_path / "result.json")


def test_a_record_of_nan_cannot_be_written(record: TrialRecord, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        _write(path, record, summary={"dice": float("nan")})
    assert not path.exists()


def test_a_failure_says_what_where_and_why(tmp_path: Path) -> None:
    def train() -> None:
        raise ConfigError("lower it")

    try:
        train()
    except ConfigError as error:
        described = failure("abc", error, "recipe", "2026-01-01")
    assert (described.type, described.message, described.stage) == (
        "ConfigError",
        "lower it",
        "recipe",
    )
    assert "in train" in described.traceback
    path = tmp_path / "failure.json"
    atomic.write_json(path, described.model_dump(mode="json"))
    assert read_failure(path) == described


def test_a_failure_of_another_version_is_refused(tmp_path: Path) -> None:
    record = FailureRecord(key="abc", type="E", message="m", stage="s").model_dump(mode="json")
    path = tmp_path / "failure.json"
    path.write_text(json.dumps(record | {"schema_version": 2, "novelty": 1}))
    with pytest.raises(StoreError, match="record version 2"):
        read_failure(path)
    path.write_text(json.dumps(record | {"novelty": 1}))
    with pytest.raises(StoreError, match=r"failure\.json is not a trial's failure"):
        read_failure(path)

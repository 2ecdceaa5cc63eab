"""What is kept of a trial: its result, or its failure. Both are plain JSON."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from medscale.config import Options
from medscale.errors import StoreError
from medscale.study.examples import Example
from medscale.study.plan import TrialSpec

RECORD_SCHEMA = 1
RecordT = TypeVar("RecordT", "TrialRecord", "FailureRecord")


class TrialRecord(Options):
    """A finished trial."""

    schema_version: int = RECORD_SCHEMA
    key: str
    spec: TrialSpec
    summary: dict[str, Any] = Field(description="headline numbers")
    cases: list[dict[str, Any]] = Field(description="scores by test case")
    history: list[dict[str, Any]] = Field(description="one row per validation")
    examples: tuple[Example, ...] = Field(default=(), description="predictions kept for pictures")
    weights: str = Field(description="hash of the chosen network's weights")
    learned: dict[str, Any] = Field(
        default_factory=dict, description="what the arm's augmenters say about what they learned"
    )
    notes: tuple[str, ...] = Field(default=(), description="what plugins said on the way")
    timing: dict[str, float] = Field(description="seconds by stage")
    environment: dict[str, Any] = Field(description="versions and device")
    finished: str = Field(description="when, UTC")

    def repeatable(self) -> dict[str, Any]:
        """Return what has to be equal when the trial is run again on the same machine."""
        # Whoever trains a generator says how it went; trials that find it trained do not.
        return self.model_dump(mode="json", exclude={"notes", "timing", "environment", "finished"})


class FailureRecord(Options):
    """A trial that ended with an error; it is tried again by the next run."""

    schema_version: int = RECORD_SCHEMA
    key: str
    type: str
    message: str
    stage: str
    traceback: str = ""
    finished: str = ""


def failure(key: str, error: BaseException, stage: str, finished: str) -> FailureRecord:
    """Describe an error as a record."""
    return FailureRecord(
        key=key,
        type=type(error).__name__,
        message=str(error),
        stage=stage,
        traceback="".join(traceback.format_exception(error)),
        finished=finished,
    )


def read_record(path: Path) -> TrialRecord:
    """Read a result.

    Raises:
        StoreError: If the file is no record of a version this medscale knows.
    """
    return _read(path, TrialRecord, "a trial's result", "which trains that trial anew")


def read_failure(path: Path) -> FailureRecord:
    """Read a failure.

    Raises:
        StoreError: If the file is no record of a version this medscale knows.
    """
    return _read(path, FailureRecord, "a trial's failure", "which tries that trial again")


def _read(path: Path, model: type[RecordT], what: str, then: str) -> RecordT:
    advice = f"delete this file and run the same command again, {then}"
    value = read_json(path, advice)
    # First, as a newer record may have fields that this medscale would misread.
    if value.get("schema_version") != RECORD_SCHEMA:
        raise StoreError(
            f"{path} has record version {value.get('schema_version')}, this medscale reads "
            f"{RECORD_SCHEMA}: use the medscale that wrote it, or another --out"
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise StoreError(f"{path} is not {what} ({error.errors()[0]['msg']}): {advice}") from None


def read_json(path: Path, advice: str = "") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        advice: What to do where it is damaged.

    Raises:
        StoreError: If the file is missing or no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error}") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error})" + (advice and f": {advice}")) from None
    if not isinstance(value, dict):
        raise StoreError(
            f"{path} holds a {type(value).__name__}, expected a JSON object"
            + (advice and f": {advice}")
        )
    return value

"""The prepared cohort: every case at the study's shape, in memory, read from a Zarr cache."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from medscale import atomic
from medscale.data.cases import Array, Case, Task
from medscale.errors import StoreError
from medscale.identity import array_key, content_key

_MARKER = "committed.json"
_SCHEMA = 1
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Prepared cases of one data set.

    Attributes:
        cases: What each row is.
        images: (N, C, *S) float32 in [0, 1].
        labels: (N, *S) uint8 label values, or (N, K, *S) uint8 masks, 0 or 1.
        spacing: (N, D) size of a prepared voxel in mm.
        image_keys: For each row, the hash of its pixels as loaded: equal keys are equal images.
        content: Hash of everything above; part of every trial's identity.
    """

    cases: tuple[Case, ...]
    images: Array
    labels: Array
    spacing: Array
    image_keys: tuple[str, ...]
    content: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape S."""
        return tuple(int(n) for n in self.images.shape[2:])

    @property
    def channels(self) -> int:
        """The number of image channels C."""
        return int(self.images.shape[1])

    def target(self, task: Task, rows: Sequence[int] | None = None) -> Array:
        """Return (len(rows), *S) uint8, 1 where the task's structure is; all rows by default."""
        labels: Array = self.labels if rows is None else self.labels[list(rows)]
        if self.labels.ndim == self.images.ndim:
            masks: Array = labels[:, list(task.labels)]
            return np.asarray(masks.any(axis=1), dtype=np.uint8)
        return np.isin(labels, task.labels).astype(np.uint8)

    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Return groups of cases of different subjects whose images are the same to the bit."""
        by_key: dict[str, list[Case]] = {}
        for case, key in zip(self.cases, self.image_keys, strict=True):
            by_key.setdefault(key, []).append(case)
        return tuple(
            tuple(case.id for case in group)
            for group in by_key.values()
            if len({case.subject for case in group}) > 1
        )


def build_cohort(
    cases: tuple[Case, ...],
    images: Array,
    labels: Array,
    spacing: Array,
    image_keys: tuple[str, ...],
) -> Cohort:
    """Return a cohort with its content hash."""
    content = content_key(
        {
            "schema": _SCHEMA,
            "cases": [_case_row(case) for case in cases],
            "image_keys": image_keys,
            "arrays": array_key(images, labels, spacing),
        }
    )
    for array in (images, labels, spacing):
        array.flags.writeable = False
    return Cohort(
        cases=cases,
        images=images,
        labels=labels,
        spacing=spacing,
        image_keys=image_keys,
        content=content,
    )


def save_cohort(cohort: Cohort, folder: Path) -> None:
    """Write a cohort so that `folder` exists only when it is whole.

    Two processes may do this at once: the first one's copy stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        group = zarr.open_group(temporary, mode="w", zarr_format=3)
        for name in ("images", "labels", "spacing"):
            array = getattr(cohort, name)
            row_bytes = max(1, array.nbytes // max(1, len(array)))
            rows = max(1, min(len(array), _CHUNK_BYTES // row_bytes))
            group.create_array(name, data=array, chunks=(rows, *array.shape[1:]))
        marker = {
            "schema": _SCHEMA,
            "content": cohort.content,
            "image_keys": cohort.image_keys,
            "cases": [_case_row(case) for case in cohort.cases],
        }
        atomic.write_json(temporary / _MARKER, marker)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not is_saved(folder):
                if folder.exists():
                    raise StoreError(
                        f"{folder} is in the way and no whole prepared cohort: delete it and run "
                        "again"
                    ) from None
                raise
        else:
            atomic.sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_saved(folder: Path) -> bool:
    """Return whether a whole cohort lies there."""
    return (folder / _MARKER).is_file()


def open_cohort(folder: Path) -> Cohort:
    """Read a cohort into memory.

    Raises:
        StoreError: If it is missing, of another version, or its bytes have changed.
    """
    advice = f"delete {folder} and run again: it is made anew from the data"
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"no prepared cohort in {folder}; {advice}") from None
    if not isinstance(marker, dict) or marker.get("schema") != _SCHEMA:
        raise StoreError(
            f"the prepared cohort in {folder} has another schema than {_SCHEMA}; {advice}"
        )
    try:
        group = zarr.open_group(folder, mode="r", zarr_format=3)
        arrays = {name: np.asarray(group[name][...]) for name in ("images", "labels", "spacing")}  # type: ignore[index]
        cohort = build_cohort(
            tuple(_case(row) for row in marker["cases"]),
            arrays["images"],
            arrays["labels"],
            arrays["spacing"],
            tuple(marker["image_keys"]),
        )
        whole = cohort.content == marker["content"]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a changed byte can lead Zarr to raise anything
        raise StoreError(
            f"the prepared cohort in {folder} is damaged ({error}); {advice}"
        ) from None
    if not whole:
        raise StoreError(
            f"the prepared cohort in {folder} has changed since it was written; {advice}"
        )
    return cohort


def _case_row(case: Case) -> dict[str, Any]:
    # Files are left out: the content of a cohort does not depend on where it was read from.
    return {
        "id": case.id,
        "subject": case.subject,
        "group": case.group,
        "position": case.position,
    }


def _case(row: Mapping[str, Any]) -> Case:
    return Case(id=row["id"], subject=row["subject"], group=row["group"], position=row["position"])

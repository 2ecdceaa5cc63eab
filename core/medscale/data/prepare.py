"""Preparing a cohort: load every case once, check it, resample it, cache it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medscale.data.cases import Array, Case, Sample, Task
from medscale.data.cohort import (
    Cohort,
    build_cohort,
    is_saved,
    open_cohort,
    save_cohort,
)
from medscale.data.draft import Draft, Row
from medscale.data.options import PrepareOptions
from medscale.data.resample import resample, resample_labels, resample_masks
from medscale.errors import ConfigError, DataError, storing
from medscale.identity import array_key, content_key
from medscale.protocols import Dataset
from medscale.registry import blaming

PREPARE_VERSION = 1
"""Raised when the same options prepare other arrays."""

_LARGEST_LABEL = 255
"""Of the cohort's uint8; beyond it a value would become another one."""

_UNNAMED = "the data set"

Progress = Callable[[int, int], None]
"""Called with the number of cases done and their total."""


def prepared_cohort(
    dataset: Dataset,
    *,
    identity: Mapping[str, Any],
    options: PrepareOptions,
    cache: Path,
    progress: Progress,
    owner: str = _UNNAMED,
) -> tuple[Cohort, Path]:
    """Return the prepared cohort and its folder, from the cache where it is there already.

    What was prepared when a process was stopped is not prepared again.

    Args:
        dataset: The constructed data set.
        identity: Its name, behavior and resolved options.
        options: Shape and intensity.
        cache: Folder of prepared cohorts.
        progress: Told of each prepared case; not called when the cache has it all.
        owner: The data set's plugin, for messages.

    Raises:
        DataError: If a case is not usable; names its files.
        PluginError: If the data set fails in a way that is not meant for users.
        StorageError: If the cache cannot be written.
    """
    with blaming(owner, "cases()"):
        cases = tuple(dataset.cases())
        check_cases(cases, owner)
        fingerprints = [_fingerprint(case) for case in cases]
    key = content_key(
        {
            "version": PREPARE_VERSION,
            "dataset": dict(identity),
            "options": options.model_dump(mode="json"),
            "cases": fingerprints,
        }
    )
    folder = cache / "cohorts" / key
    if not is_saved(folder):
        draft = Draft(folder.with_name(f".{key}.draft"))
        cohort = prepare(dataset, cases, options, progress, draft, owner)
        with storing(folder.parent):
            save_cohort(cohort, folder)
        draft.discard()
    # The cache does not know the files of a case; messages name them.
    return replace(open_cohort(folder), cases=cases), folder


def prepare(
    dataset: Dataset,
    cases: Sequence[Case],
    options: PrepareOptions,
    progress: Progress,
    draft: Draft,
    owner: str = _UNNAMED,
) -> Cohort:
    """Load, check and resample every case, but for those that a draft has."""
    images: Array | None = None
    labels: Array | None = None
    spacing = np.ones((len(cases), 0))
    keys: list[str] = []
    try:
        for case, row in zip(cases, _rows(dataset, cases, options, draft, owner), strict=True):
            if images is None or labels is None:
                images = np.empty((len(cases), *row.image.shape), dtype=np.float32)
                labels = np.empty((len(cases), *row.label.shape), dtype=np.uint8)
                spacing = np.ones((len(cases), *row.spacing.shape))
            if row.image.shape != images.shape[1:]:
                raise DataError(
                    f"{describe_case(case)} has {len(row.image)} channels and "
                    f"{len(row.spacing)} dimensions, but {describe_case(cases[0])} has "
                    f"{images.shape[1]} and {images.ndim - 2}; a study needs one kind of image"
                )
            if row.label.shape != labels.shape[1:]:
                raise DataError(
                    f"{describe_case(case)} has another number of masks than "
                    f"{describe_case(cases[0])}; give every case the same"
                )
            images[len(keys)], labels[len(keys)], spacing[len(keys)] = row[:3]
            keys.append(row.key)
            progress(len(keys), len(cases))
    except BaseException:
        draft.keep()
        raise
    assert images is not None
    assert labels is not None
    return build_cohort(tuple(cases), images, labels, spacing, tuple(keys))


def _rows(
    dataset: Dataset, cases: Sequence[Case], options: PrepareOptions, draft: Draft, owner: str
) -> Iterator[Row]:
    """Return the prepared cases: first those of a draft, which then gets the others."""
    done = 0
    for row in draft.read():
        done += 1
        yield row
    for case in cases[done:]:
        with blaming(owner, f"load(case {case.id!r})"):
            sample = dataset.load(case)
            check_sample(case, sample, dataset.tasks)
        try:
            shape = options.resolved_shape(len(sample.spatial_shape))
        except ValueError as error:
            raise ConfigError(f"--shape: {error} ({describe_case(case)})") from None
        row = _prepared(sample, shape, options)
        yield row
        # Nobody has refused it.
        draft.add(row)


def _prepared(sample: Sample, shape: tuple[int, ...], options: PrepareOptions) -> Row:
    """Resample and scale a case."""
    image, label = np.asarray(sample.image, dtype=np.float32), np.asarray(sample.label)
    of_label = resample_labels if label.ndim == len(shape) else resample_masks
    return Row(
        image=scale(resample(image, shape), options.intensity),
        label=of_label(label, shape),
        spacing=np.asarray(sample.spacing) * np.array(sample.spatial_shape) / np.array(shape),
        key=array_key(image),
    )


def scale(image: Array, intensity: str) -> Array:
    """Scale each image (C, *S) to [0, 1], channel by channel.

    An image whose percentiles coincide (a mostly constant background) falls back to its range.
    """
    axes = tuple(range(1, image.ndim))
    low, high = image.min(axis=axes, keepdims=True), image.max(axis=axes, keepdims=True)
    if intensity == "percentile":
        inner = np.percentile(image, [0.5, 99.5], axis=axes, keepdims=True).astype(np.float32)
        usable = inner[1] > inner[0]
        low, high = np.where(usable, inner[0], low), np.where(usable, inner[1], high)
    extent = np.where(high > low, high - low, 1.0)
    scaled: Array = np.clip((image - low) / extent, 0.0, 1.0).astype(np.float32)
    return scaled


def check_cases(cases: Sequence[Case], owner: str = _UNNAMED) -> None:
    """Refuse a list of cases that no study can use.

    Raises:
        DataError: If it is empty or an id stands twice.
        TypeError: If one is no case, or its names are no strings.
    """
    if not cases:
        raise DataError(f"{owner} has no cases; check --data and the data set's options")
    seen: set[str] = set()
    for case in cases:
        if not isinstance(case, Case):
            raise TypeError(f"it returned a {type(case).__name__}, expected cases")
        for field in ("id", "subject", "group"):
            value = getattr(case, field)
            if not isinstance(value, str):
                raise TypeError(f"case {case.id!r} has the {field} {value!r}, expected a string")
        if case.id in seen:
            raise DataError(
                f"two cases of {owner} are called {case.id!r}; give each case a name of its own"
            )
        seen.add(case.id)


def check_sample(case: Case, sample: Sample, tasks: Mapping[str, Task]) -> None:
    """Refuse pixels that would poison a study in silence.

    Raises:
        DataError: One sentence that names the case and its files.
        TypeError: If it is no sample.
    """
    if not isinstance(sample, Sample):
        raise TypeError(f"it returned a {type(sample).__name__}, expected a Sample")
    name = describe_case(case)
    image, label = np.asarray(sample.image), np.asarray(sample.label)
    if image.ndim not in (3, 4) or image.dtype.kind not in "fiub":
        raise DataError(
            f"{name}: the image is an array of {image.dtype} with shape {image.shape}, expected "
            "real numbers with a channel axis and two or three spatial ones"
        )
    dims = image.ndim - 1
    if not np.isfinite(image).all():
        raise DataError(f"{name}: the image holds NaN or infinite values; mend or remove this case")
    if any(float(channel.max()) == float(channel.min()) for channel in image):
        raise DataError(f"{name}: the image is constant (one grey value); mend or remove this case")
    if label.shape[-dims:] != image.shape[1:] or label.ndim not in (dims, dims + 1):
        raise DataError(
            f"{name}: the label has shape {label.shape}, the image {image.shape[1:]}; "
            "they have to be of the same size"
        )
    if label.dtype.kind not in "iub":
        raise DataError(f"{name}: the label holds {label.dtype}, expected integers or booleans")
    if not _is_spacing(sample.spacing, dims):
        raise DataError(
            f"{name}: the voxel spacing is {sample.spacing}, expected {dims} sizes in mm"
        )
    known = {value for task in tasks.values() for value in task.labels}
    for value in sorted(known):
        if not 0 <= value <= _LARGEST_LABEL:
            raise DataError(
                f"{name}: a task names the label value {value}, expected values from 0 to "
                f"{_LARGEST_LABEL}; renumber the labels"
            )
    if label.ndim == dims + 1:
        if known and max(known) >= len(label):
            raise DataError(
                f"{name}: there are {len(label)} masks, but a task names mask {max(known)}"
            )
        return
    unknown = sorted({int(value) for value in np.unique(label)} - known - {0})
    if unknown:
        raise DataError(
            f"{name}: the label holds the unknown value{'s' if len(unknown) > 1 else ''} "
            f"{', '.join(map(str, unknown[:5]))}, expected 0 and {sorted(known)}"
        )


def _is_spacing(spacing: Any, dims: int) -> bool:
    try:
        return len(spacing) == dims and all(math.isfinite(size) and size > 0 for size in spacing)
    except TypeError:
        return False


def describe_case(case: Case) -> str:
    """Return the case for an error message, with the files it is read from."""
    if not case.files:
        return f"case {case.id}"
    return f"case {case.id} ({', '.join(str(path) for path in case.files)})"


def _fingerprint(case: Case) -> list[Any]:
    """Return what notices a changed file without reading it."""
    files: list[list[Any]] = []
    for path in case.files:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"cannot read {path} of case {case.id}: {error.strerror}") from None
        files.append([str(path.absolute()), status.st_size, status.st_mtime_ns])
    return [case.id, case.subject, case.group, case.position, files]

"""`dataset.json`, read as hostile input: it names files and gives labels their meaning."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from medscale.errors import DataError

FILE_NAME = "dataset.json"
_MAX_BYTES = 32 * 1024 * 1024  # the largest of the ten official ones has about 0.1 MB
_INTEGER = re.compile(r"0|[1-9][0-9]{0,4}")
_SUFFIX = re.compile(r"\.nii(\.gz)?$")
_UNSAFE = frozenset('\\:*?"<>|')  # cases are named after files, and results after cases
_FAULTY = "; copy dataset.json from the official release"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What `dataset.json` says.

    Attributes:
        channels: How many channels the images have (its `modality`).
        labels: Name as written, by label value; background (0) is left out.
        volumes: Image and label file of each training volume, by the image's name without
            suffix, sorted by it.
    """

    channels: int
    labels: dict[int, str]
    volumes: dict[str, tuple[Path, Path]]


def read_description(folder: Path) -> Description:
    """Read and check the `dataset.json` of a task.

    Args:
        folder: The task's folder.

    Raises:
        DataError: If it is missing, no JSON, lacks something, or names a file outside `folder`.
    """
    path = folder / FILE_NAME
    content = _read_json(path)
    modality = content.get("modality")
    if not isinstance(modality, dict) or not modality:
        raise _fault(path, "modality", modality, 'an object such as {"0": "MRI"}')
    return Description(
        channels=len(modality),
        labels=_labels(path, content.get("labels")),
        volumes=_volumes(folder, path, content.get("training")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES // 2**20} MB{_FAULTY}")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}){_FAULTY}") from None
    except (ValueError, RecursionError) as error:  # ValueError: JSON, or a number too long
        raise DataError(f"{path} is no valid JSON ({error}){_FAULTY}") from None
    if not isinstance(content, dict):
        raise _fault(path, "the file", content, "an object")
    return content


def _labels(path: Path, labels: object) -> dict[int, str]:
    expected = 'an object such as {"0": "background", "1": "liver"}'
    if not isinstance(labels, dict):
        raise _fault(path, "labels", labels, expected)
    names: dict[int, str] = {}
    for value, name in labels.items():
        if not (_INTEGER.fullmatch(value) and isinstance(name, str)):
            raise _fault(path, "labels", {value: name}, expected)
        if int(value) > 0:
            names[int(value)] = name
    if not names:
        raise _fault(path, "labels", labels, "a label beside background")
    return dict(sorted(names.items()))


def _volumes(folder: Path, path: Path, training: object) -> dict[str, tuple[Path, Path]]:
    expected = 'a list of objects such as {"image": "./imagesTr/a.nii.gz", "label": …}'
    if not isinstance(training, list):
        raise _fault(path, "training", training, expected)
    volumes: dict[str, tuple[Path, Path]] = {}
    for entry in training:
        if not isinstance(entry, dict):
            raise _fault(path, "training", entry, expected)
        image, label = (_inside(folder, path, entry.get(key), key) for key in ("image", "label"))
        if image.name.startswith("._"):  # what macOS leaves beside each file
            continue
        name = _SUFFIX.sub("", image.name)
        if name in volumes:
            raise DataError(f"{path} lists the volume {name} twice, expected once{_FAULTY}")
        volumes[name] = (image, label)
    if not volumes:
        raise _fault(path, "training", training, "at least one volume")
    return dict(sorted(volumes.items()))


def _inside(folder: Path, path: Path, name: object, key: str) -> Path:
    """Return a named file, which must be a NIfTI file below `folder`."""
    expected = f"a NIfTI file inside {folder.name} such as ./imagesTr/a.nii.gz"
    if not isinstance(name, str) or not name.isprintable() or _UNSAFE & set(name):
        raise _fault(path, f"training: {key}", name, expected)
    relative = PurePosixPath(name)
    stem = _SUFFIX.sub("", relative.name)
    if (
        relative.is_absolute()
        or ".." in relative.parts
        or stem == relative.name
        or not stem.strip(" .")
    ):
        raise _fault(path, f"training: {key}", name, expected)
    return folder.joinpath(*relative.parts)


def _fault(path: Path, what: str, got: object, expected: str) -> DataError:
    shown = "nothing" if got is None else repr(got)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
    return DataError(f"{path}: {what} got {shown}, expected {expected}{_FAULTY}")

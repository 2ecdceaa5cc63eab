"""The official ACDC folder: where patients lie and what `Info.cfg` says about each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medscale.errors import DataError

_PATIENT = re.compile(r"patient\d{3}")
# Some archives unpack to ACDC/database/{training,testing}.
_NESTED = (".", "database", "ACDC", "ACDC/database")


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient's folder.

    Attributes:
        name: Such as `patient001`.
        folder: Where the files lie.
        phases: Frame number by phase, `ed` and `es`.
        group: Diagnosis (NOR, MINF, DCM, HCM, RV), or "" where `Info.cfg` holds none.
    """

    name: str
    folder: Path
    phases: dict[str, int]
    group: str

    def files(self, phase: str) -> tuple[Path, Path]:
        """Return the image and the labels of one phase."""
        stem = f"{self.name}_frame{self.phases[phase]:02d}"
        return self.folder / f"{stem}.nii.gz", self.folder / f"{stem}_gt.nii.gz"


def read_patients(data: Path, *, include_testing: bool) -> list[Patient]:
    """Find every patient and read its `Info.cfg`.

    Args:
        data: The folder that holds `training/`, or the patients themselves.
        include_testing: Whether patients of `testing/` are wanted too.

    Returns:
        Patients, sorted by name.

    Raises:
        DataError: If there are none, one lies in two folders, `testing/` is wanted and missing,
            or an `Info.cfg` is missing or incomplete.
    """
    folders: dict[str, Path] = {}
    for part in _parts(data, include_testing=include_testing):
        for folder in _patient_folders(part):
            if folder.name in folders:
                raise DataError(
                    f"{folder.name} lies both in {folders[folder.name].parent} and in {part}; "
                    "keep one of them"
                )
            folders[folder.name] = folder
    return [_read_patient(folder) for _, folder in sorted(folders.items())]


def _parts(data: Path, *, include_testing: bool) -> Iterator[Path]:
    roots = [data / nested for nested in _NESTED]
    root = next((root for root in roots if _patient_folders(root / "training")), None)
    if root is not None:
        yield root / "training"
        if include_testing:
            if not _patient_folders(root / "testing"):
                raise DataError(
                    f"{root / 'testing'} holds no patients, expected folders such as patient101; "
                    "copy the official testing folder there or leave out acdc.include_testing"
                )
            yield root / "testing"
    elif _patient_folders(data):
        if include_testing:
            raise DataError(
                f"{data} holds patients directly, so acdc.include_testing finds no testing folder; "
                "pass the folder that holds training and testing"
            )
        yield data
    else:
        raise DataError(
            f"{data} is no ACDC folder: expected training/patient001 or patient001 in it; "
            "pass the folder that holds training with --data DIR"
        )


def _patient_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        entry for entry in folder.iterdir() if _PATIENT.fullmatch(entry.name) and entry.is_dir()
    ]


def _read_patient(folder: Path) -> Patient:
    path = folder / "Info.cfg"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing, and only it says which frames are ED and ES; "
            "copy it from the official release"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); copy it again") from None
    pairs = (line.partition(":") for line in lines)
    values = {key.strip(): value.strip() for key, colon, value in pairs if colon}
    phases: dict[str, int] = {}
    for key in ("ED", "ES"):
        got = values.get(key, "nothing")
        if not re.fullmatch(r"[0-9]{1,3}", got):
            raise DataError(
                f"{path} holds {got[:40]!r} for {key}, expected a frame number such as 'ED: 1'; "
                "copy it from the official release"
            )
        phases[key.lower()] = int(got)
    if phases["ed"] == phases["es"]:
        raise DataError(
            f"{path} gives frame {phases['ed']} for both ED and ES, expected two frames; "
            "copy it from the official release"
        )
    return Patient(name=folder.name, folder=folder, phases=phases, group=values.get("Group", ""))

"""`metadata.csv`: who is on which image."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medscale.errors import DataError

FILE_NAME = "metadata.csv"
_COLUMNS = ("image", "subject", "group", "position")
_SUBJECTS = ("subject", "subject_id", "patient", "patient_id")
_SEPARATORS = ",;\t"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the table says about one image.

    Attributes:
        subject: The person, or None where the table has no such column.
        group: A stratum, or "".
        position: Where a slice lies in its volume, from 0 to 1, or None.
    """

    subject: str | None
    group: str = ""
    position: float | None = None


def read_metadata(
    path: Path, images: Mapping[str, Path], log: Callable[[str], None]
) -> dict[str, Row]:
    """Read the table and match it with the images.

    Args:
        path: A CSV file with the column `image` (file name, or name without suffix) and
            optionally `subject` (or `subject_id`, `patient`, `patient_id`), `group` and
            `position`. Columns may be separated by semicolons or tabs, as spreadsheets write them
            where the comma is the decimal sign; decimal commas are points then.
        images: Image files by stem.
        log: Told which other columns are not used.

    Returns:
        One row per image, by stem, in the order of `images`.

    Raises:
        DataError: If the table cannot be parsed, names an image that does not exist, twice or
            outside the folder, or leaves one out.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES // 2**20} MB; is it the table?")
        content = path.read_bytes()
        # Spreadsheets write "Unicode text" as UTF-16, and put a byte order mark before UTF-8.
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as CSV UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from None
    by_name = {unicodedata.normalize("NFC", file.name): stem for stem, file in images.items()}
    rows: dict[str, Row] = {}
    for line, cells in _cells(text, path, log):
        where = f"{path}, line {line}"
        name = unicodedata.normalize("NFC", cells["image"])
        if not name or "/" in name or "\\" in name or name in (".", ".."):
            raise DataError(
                f"{where}: image is {name!r}, expected the plain name of a file in images"
            )
        stem = by_name.get(name) or (name if name in images else None)
        if stem is None:
            raise DataError(
                f"{where}: there is no image {name!r}; correct the name or remove the row"
            )
        if stem in rows:
            raise DataError(f"{where}: image {name!r} has a row already; remove one of them")
        rows[stem] = _row(cells, where)
    missing = [stem for stem in images if stem not in rows]
    if missing:
        raise DataError(
            f"{path} has no row for {images[missing[0]].name} ({len(missing)} of {len(images)} "
            "images lack one); add it or take the image out"
        )
    return {stem: rows[stem] for stem in images}


def _cells(
    text: str, path: Path, log: Callable[[str], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the stripped cells of the known columns of each row."""
    separator = _separator(text)
    # strict=True: a quote that is never closed would swallow all rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = _known_columns(next(reader, []), path, log)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(names)} "
                    f"as in the first line; put quotes around cells that contain {separator!r}"
                )
            row = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name}
            if separator != "," and "position" in row:
                row["position"] = row["position"].replace(",", ".")
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: no valid CSV ({error})") from None


def _separator(text: str) -> str:
    """Return the first separator by which the first line has the column `image`."""
    first = text.splitlines()[:1]
    for separator in _SEPARATORS:
        try:
            header = next(csv.reader(first, delimiter=separator), [])
        except csv.Error:
            continue
        if "image" in map(_plain, header):
            return separator
    return ","


def _known_columns(header: list[str], path: Path, log: Callable[[str], None]) -> list[str]:
    """Return what each column is, "" for one that is not used, and say which these are."""
    plain = [_plain(name) for name in header]
    names = ["subject" if name in _SUBJECTS else name for name in plain]
    if "image" not in names:
        got = ", ".join(plain)[:80] or "nothing"
        raise DataError(
            f"{path} has the columns {got}, expected image and optionally subject, group and "
            "position, separated by commas, semicolons or tabs"
        )
    for known in _COLUMNS:
        twice = [given for given, name in zip(plain, names, strict=True) if name == known]
        if len(twice) > 1:
            raise DataError(
                f"{path} has a column twice, {' and '.join(twice)}, expected one {known}; remove "
                "or rename the others"
            )
    unused = [
        name.strip() for name, known in zip(header, names, strict=True) if known not in _COLUMNS
    ]
    unused = [name for name in unused if name]
    if unused:
        columns = "column is" if len(unused) == 1 else "columns are"
        log(f"{path.name}: the following {columns} not used: {', '.join(unused)}")
    return [name if name in _COLUMNS else "" for name in names]


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _row(cells: Mapping[str, str], where: str) -> Row:
    subject = cells.get("subject")
    if subject == "":
        raise DataError(
            f"{where}: subject is empty, expected a name for the person; images of one person "
            "share it"
        )
    text = cells.get("position", "")
    try:
        position = float(text) if text else None
    except ValueError:
        position = math.nan
    if position is not None and not 0 <= position <= 1:
        raise DataError(f"{where}: position is {text[:40]!r}, expected a number from 0 to 1")
    return Row(subject=subject, group=cells.get("group", ""), position=position)

"""`metadata.csv`: who is on which image."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medscale.errors import DataError

FILE_NAME = "metadata.csv"
_COLUMNS = ("image", "subject", "group", "position")
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


def read_metadata(path: Path, images: Mapping[str, Path]) -> dict[str, Row]:
    """Read the table and match it with the images.

    Args:
        path: A CSV file with the column `image` (file name, or name without suffix) and
            optionally `subject`, `group` and `position`; other columns are ignored.
        images: Image files by stem.

    Returns:
        One row per image, by stem, in the order of `images`.

    Raises:
        DataError: If the table cannot be parsed, names an image that does not exist, twice or
            outside the folder, or leaves one out.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES // 2**20} MB; is it the table?")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as CSV UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from None
    by_name = {unicodedata.normalize("NFC", file.name): stem for stem, file in images.items()}
    rows: dict[str, Row] = {}
    for line, cells in _cells(text, path):
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


def _cells(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the stripped cells of the known columns of each row."""
    # strict=True: a quote that is never closed would swallow all rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        known = [name for name in header if name in _COLUMNS]
        if "image" not in known:
            got = ", ".join(header)[:80] or "nothing"
            raise DataError(
                f"{path} has the columns {got}, expected image and optionally subject, group and "
                "position, separated by commas"
            )
        if len(set(known)) < len(known):
            raise DataError(f"{path} has a column twice among {', '.join(known)}; remove one")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(header)} "
                    "as in the first line; put quotes around cells that contain commas"
                )
            row = zip(header, cells, strict=True)
            yield reader.line_num, {name: cell.strip() for name, cell in row if name in known}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: no valid CSV ({error})") from None


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

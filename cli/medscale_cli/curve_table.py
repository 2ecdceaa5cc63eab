"""A CSV file of trials, read as text, so that labels stay as they are and errors name a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = ";\t,"
_HINT = re.compile(r"sep=([,;\t])")
"""The line by which spreadsheets say what separates their columns."""

_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+")
"""What may be 1000 or 1, and is no decimal comma where it is not sure that there are any."""

_GZIP = b"\x1f\x8b"

LINE = "line"
"""Name of the index of a table that came from a file: where each row ends in it."""

_MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none")
"""What people and programs write where there is no number, in small letters."""


def read_table(path: Path, *, labels: Collection[str]) -> pd.DataFrame:
    """Read a CSV file whose cells are all text, without space around them, by line.

    Columns may be separated by semicolons or tabs, as spreadsheets write them where the comma is
    the decimal sign; decimal commas are points then.

    Args:
        path: The file; its first line names the columns, whose case does not count.
        labels: Columns that say which trial a row is of, where there are any: `None` and `NA` are
            names there like any other, and a blank is refused, since it names nothing.

    Raises:
        DataError: If the file cannot be read, has no rows, a row is too long, or a label is blank.
    """
    import pandas as pd

    from medscale.errors import DataError

    try:
        content = path.read_bytes()
        # Spreadsheets put a byte order mark before the first name.
        rows, separator = _rows(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        packed = content.startswith(_GZIP)
        advice = "is compressed; unpack it" if packed else "is not UTF-8 text; save it as CSV UTF-8"
        raise DataError(f"{path} {advice}, and give that file") from error
    except (OSError, csv.Error) as error:
        raise DataError(
            f"{path} got {type(error).__name__} ({error}), expected a run folder or a CSV file "
            "with columns size and error"
        ) from error
    if len(rows) < 2:
        raise DataError(
            f"{path} has no rows, expected a line of column names, such as size and error, and "
            "below it one for each trial"
        )
    header = [name.lower() for name in rows[0][1]]
    filled = [_fill(path, line, row, len(header)) for line, row in rows[1:]]
    index = pd.Index([line for line, _ in rows[1:]], name=LINE)
    table = pd.DataFrame(filled, columns=header, index=index, dtype=object)
    table = table.loc[:, [bool(name) for name in header]]
    _refuse_twice(path, list(table.columns))
    if separator != ",":
        for name in table.columns.difference(list(labels)):
            decimal = table[name].str.fullmatch(_DECIMAL_COMMA)
            if separator != ";":
                decimal &= ~table[name].str.fullmatch(_THOUSANDS)
            table[name] = table[name].mask(decimal, table[name].str.replace(",", "."))
    for name in labels:
        if name in table:
            _refuse_blank(path, table[name])
    return table


def numbers(path: Path, texts: pd.Series) -> pd.Series:
    """Return the numbers of a column, NaN where the cell says that there is none.

    Raises:
        DataError: If a cell holds something else.
    """
    import numpy as np
    import pandas as pd

    from medscale.errors import DataError

    missing = texts.str.lower().isin(_MISSING)
    values = pd.to_numeric(texts.mask(missing), errors="coerce")
    wrong = texts[~np.isfinite(values.astype(float)) & ~missing]
    if len(wrong):
        raise DataError(
            f"{path}, line {wrong.index[0]}: {texts.name} is {wrong.iloc[0]!r}, expected a number "
            "such as 0.25"
        )
    return values


def _rows(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Return rows that are not empty, with the line where each ends, and what separates cells."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    hint = _HINT.fullmatch(first)
    found = max(_SEPARATORS, key=first.count) if set(_SEPARATORS) & set(first) else ","
    separator = hint[1] if hint else found
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    rows = [(line, row) for line, row in lines if any(row)]
    return rows[1:] if hint else rows, separator


def _fill(path: Path, line: int, row: list[str], length: int) -> list[str]:
    from medscale.errors import DataError

    if any(row[length:]):
        raise DataError(
            f"{path}, line {line} has {len(row)} values for {length} columns, expected one for "
            "each; put a value that holds a comma between double quotes"
        )
    return (row + [""] * length)[:length]


def _refuse_twice(path: Path, names: list[str]) -> None:
    from medscale.errors import DataError

    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{path} has {names.count(name)} columns {name!r} (capitals do not count), "
                "expected one; rename the others"
            )


def _refuse_blank(path: Path, labels: pd.Series) -> None:
    from medscale.errors import DataError

    blank = labels.index[labels == ""]
    if len(blank):
        raise DataError(
            f"{path}, line {blank[0]}: {labels.name} is blank, expected a label in every row; "
            "write one, such as none, or take the column out"
        )

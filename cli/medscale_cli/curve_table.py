"""A CSV file of trials, read as text, so that labels stay as they are and errors name a line."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LINE = "line"
"""Name of the index of a table that came from a file: where each row ends in it."""

_MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none")
"""What people and programs write where there is no number, in small letters."""


def read_table(path: Path, *, labels: Collection[str]) -> pd.DataFrame:
    """Read a CSV file whose cells are all text, without space around them, by line.

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
        # Spreadsheets put a byte order mark before the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} got {type(error).__name__} ({error}), expected a run folder or a CSV file "
            "with columns size and error"
        ) from error
    rows = [(line, row) for line, row in lines if any(row)]
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
    for name in labels:
        if name in table:
            _refuse_blank(path, table[name])
    return table


def numbers(path: Path, texts: pd.Series) -> pd.Series:
    """Return the numbers of a column, NaN where the cell says that there is none.

    Raises:
        DataError: If a cell holds something else.
    """
    import pandas as pd

    from medscale.errors import DataError

    missing = texts.str.lower().isin(_MISSING)
    values = pd.to_numeric(texts.mask(missing), errors="coerce")
    wrong = texts[values.isna() & ~missing]
    if len(wrong):
        raise DataError(
            f"{path}, line {wrong.index[0]}: {texts.name} is {wrong.iloc[0]!r}, expected a number "
            "such as 0.25"
        )
    return values


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

"""What the columns of a table of trials are: sizes, scores, and such as may name curves."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SCORES = (
    *("dice", "dsc", "iou", "jaccard", "nsd", "accuracy", "auc", "auroc", "f1"),
    *("sensitivity", "specificity", "precision", "recall", "score"),
)
"""What is between 0 and 1 and better the more it is; all else are errors."""

_NO_SCORES = ("loss", "error")
"""Words that make an error of a score's name, as 1 does where it comes first: "1 - dice"."""

_SIZES = ("n", "images", "n images", "n train", "train size", "training size", "training images")
"""What people call the column of sizes, but for `size` itself, in words."""

_REPETITIONS = ("seed", "fold", "run", "repeat", "repetition", "rep", "trial", "index", "id")
_MOST_CODES = 10


def is_score(column: str) -> bool:
    """Return whether a column holds a score, by its words: "dice", "Mean Dice", "dice_1"."""
    words = _split(column)
    if words[:1] == ["1"] or not set(words).isdisjoint(_NO_SCORES):
        return False
    return not set(words).isdisjoint(SCORES)


def name_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose column of sizes is called `size`, whatever people call it."""
    named = [name for name in table if " ".join(_split(str(name))) in _SIZES]
    if "size" in table or len(named) != 1:
        return table
    return table.rename(columns={named[0]: "size"})


def default_column(source: Path, table: pd.DataFrame) -> str:
    """Return which column is measured: error, a known score, or the only one that is called so.

    Raises:
        DataError: If none is, or several are.
    """
    from medscale.errors import DataError

    named = [str(name) for name in table if is_score(str(name))]
    known = [name for name in ("error", *SCORES) if name in table]
    if known or len(named) == 1:
        return (*known, *named)[0]
    sizes = "" if "size" in table else "size (or n, images, training size), and "
    raise DataError(
        f"{source} has columns {', '.join(map(str, table.columns))}, expected {sizes}error, or one "
        "score such as dice; name what was measured with --column"
    )


def require(source: Path, table: pd.DataFrame, name: str) -> None:
    """Refuse a table without a column.

    Raises:
        DataError: If there is no such.
    """
    from medscale.errors import DataError, did_you_mean

    if name not in table:
        known = did_you_mean(name, map(str, table.columns))
        others = " (or n, images, training size)" if name == "size" else ""
        raise DataError(f"{source} has no column {name!r}{others}: {known}")


def unused(rows: pd.DataFrame, used: Collection[str]) -> tuple[str, ...]:
    """Return a sentence about every other column that may well name several curves.

    Such a column holds words, or numbers that count from 0 or 1 and are not called seed or the
    like, in every row; most of them more than once, other than a key or a path; and it is no
    property of the size, or of the test case.
    """
    place = [rows[name] for name in ("size", "case") if name in rows]
    found = []
    for name in rows:
        words = rows[name]
        if name in used or (words == "").any() or 2 * words.nunique() > len(words):
            continue
        if _names(words) and (words.groupby(place).nunique() > 1).any():
            found.append(
                f"column {name!r} is not used: rows that differ in it count as trials of one "
                "curve; name it arm, task or backbone to keep them apart"
            )
    return tuple(found)


def _names(words: pd.Series) -> bool:
    """Return whether a column's words, or numbers, may stand for names."""
    import pandas as pd

    numbers = pd.to_numeric(words, errors="coerce")
    if numbers.isna().all():
        return True
    codes = sorted(set(numbers))
    counted = 2 <= len(codes) <= _MOST_CODES and codes in (
        list(range(len(codes))),
        list(range(1, len(codes) + 1)),
    )
    return counted and set(_split(str(words.name))).isdisjoint(_REPETITIONS)


def _split(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())

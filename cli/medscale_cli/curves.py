"""Learning curves of a run folder or of a CSV file, as `fit` and `forecast` take them."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from medscale.laws import Fit

SCORES = ("dice", "iou", "nsd", "accuracy", "auc", "f1", "score")
"""Columns between 0 and 1 of which more is better; all others are errors."""

_GROUPS = ("dataset", "task", "backbone", "arm")
_REPLICATES = ("split", "replicate")
_LABELS = (*_GROUPS, *_REPLICATES, "case", "subject")


@dataclass(frozen=True)
class Curve:
    """The trials of one curve.

    Attributes:
        name: Its groups, such as "lv res_unet none"; the file's name where there are none.
        column: What was measured.
        rows: A row per trial, or per trial and test case where there is a column case. Columns
            size, the measured one and, where there are any, split, replicate and subject.
        warnings: One sentence each about what is odd in the rows.
    """

    name: str
    column: str
    rows: pd.DataFrame
    warnings: tuple[str, ...] = ()

    def law(self) -> Fit:
        """Fit the curve.

        Raises:
            DataError: If no curve can be fitted to these trials.
        """
        from medscale.laws import fit

        self._refuse_gaps()
        if "case" in self.rows:
            return self._law_of_cases()
        labels = [name for name in _REPLICATES if name in self.rows]
        replicates = self.rows.groupby(labels).ngroup() if labels else None
        errors = self._errors(self.rows[self.column])
        return fit(self.rows["size"], errors, replicates=replicates, largest=self._largest)

    def _law_of_cases(self) -> Fit:
        import pandas as pd

        from medscale.laws import fit_cases

        usual = {"split": 0, "replicate": 0, "subject": self.rows["case"]}
        # A measure need not exist in every case, such as a distance to an empty mask.
        scored = self.rows[self.column].dropna()
        errors = pd.Series(self._errors(scored), scored.index)
        table = pd.DataFrame(usual | dict(self.rows) | {"error": errors})
        return fit_cases(table, largest=self._largest)

    @property
    def _largest(self) -> float:
        return 1.0 if self.column in SCORES else math.inf

    def _refuse_gaps(self) -> None:
        from medscale.errors import DataError
        from medscale_cli.curve_table import LINE

        if self.rows.index.name != LINE:
            return
        for name in ("size",) if "case" in self.rows else ("size", self.column):
            gaps = self.rows.index[self.rows[name].isna()]
            if len(gaps):
                raise DataError(
                    f"line {gaps[0]} has no {name}, expected a number; leave that line out"
                )

    def _errors(self, values: pd.Series) -> ArrayLike:
        from medscale.laws.observations import errors_from_scores

        return errors_from_scores(values) if self.column in SCORES else values


def read_curves(source: Path, column: str | None = None) -> list[Curve]:
    """Return the curves of a run folder or of a CSV file, one for each arm, task and network.

    Args:
        source: Folder of a run, or a CSV file with columns size and, say, error or dice. What a run
            measured in every test case is taken case by case.
        column: What is measured; None: dice of a run; of a file, error or the first known score.

    Raises:
        DataError: If the file is no such table.
        StoreError: If the folder is no run, or none of its trials is done.
    """
    from medscale_cli.curve_table import numbers, read_table

    if source.is_dir():
        table = _run_table(source, column)
        column = column or _default_column(source, table)
        for name in ("size", column):
            _require(source, table, name)
        groups = [name for name in _GROUPS if name in table and name != "dataset"]
        return [Curve(name, column, rows) for name, rows in _split(source, table, groups)]
    table = read_table(source, labels=_LABELS)
    column = column or _default_column(source, table)
    for name in dict.fromkeys(("size", column)):
        _require(source, table, name)
        table[name] = numbers(source, table[name])
    groups = [name for name in _GROUPS if name in table]
    return [
        Curve(name, column, rows, _unused(rows, {"size", column, *_LABELS}))
        for name, rows in _split(source, table, groups)
    ]


def parse_target(text: str) -> tuple[str, float]:
    """Return the column and the error that a target such as dice=0.90 means.

    Raises:
        ConfigError: If the text has another form, or nothing can reach it.
    """
    from medscale.errors import ConfigError

    column, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals or not column.strip() or not math.isfinite(value):
        raise ConfigError(f"--target got {text!r}, expected dice=0.90 or error=0.05")
    column = column.strip().lower()
    error = 1 - value if column in SCORES else value
    if error <= 0 or (column in SCORES and value < 0):
        expected = "a share below 1, such as 0.90" if column in SCORES else "an error above 0"
        raise ConfigError(f"--target got {text!r}, expected {expected}")
    return column, error


def _run_table(run: Path, column: str | None) -> pd.DataFrame:
    from medscale.errors import StoreError
    from medscale.report.tables import case_table, trial_table
    from medscale.study.runstore import RunStore

    store = RunStore(run)
    store.study()
    trials, cases = trial_table(store), case_table(store)
    if trials.empty:
        raise StoreError(f"no trial of {run} is done yet: `medscale status {run}` shows more")
    return cases if (column or _default_column(run, trials)) in cases else trials


def _split(source: Path, table: pd.DataFrame, groups: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each curve, with its name."""
    if not groups:
        return [(source.stem, table)]
    parts = table.groupby(groups, sort=False)
    return [(" ".join(map(str, names)), rows) for names, rows in parts]


def _unused(rows: pd.DataFrame, used: Collection[str]) -> tuple[str, ...]:
    """Return a sentence about every other column that may well name several curves.

    Such a column holds words, in every row; most of them more than once, other than a key or a
    path; and it is no property of the size, or of the test case.
    """
    place = [rows[name] for name in ("size", "case") if name in rows]
    found = []
    for name in rows:
        words = rows[name]
        if name in used or (words == "").any() or 2 * words.nunique() > len(words):
            continue
        if not _numeric(words) and (words.groupby(place).nunique() > 1).any():
            found.append(
                f"column {name!r} is not used: rows that differ in it count as trials of one "
                "curve; name it arm, task or backbone to keep them apart"
            )
    return tuple(found)


def _numeric(words: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(words, errors="coerce").notna().any())


def _default_column(source: Path, table: pd.DataFrame) -> str:
    from medscale.errors import DataError

    for name in ("error", *SCORES):
        if name in table:
            return name
    raise DataError(
        f"{source} has columns {', '.join(map(str, table.columns))}, expected error, or a score "
        "such as dice; name one with --column"
    )


def _require(source: Path, table: pd.DataFrame, name: str) -> None:
    from medscale.errors import DataError, did_you_mean

    if name not in table:
        known = did_you_mean(name, map(str, table.columns))
        raise DataError(f"{source} has no column {name!r}: {known}")

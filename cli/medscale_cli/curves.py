"""Learning curves of a run folder or of a CSV file, as `fit` and `forecast` take them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from medscale.laws import Fit

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
        available: Largest size that can be run, where that is known.
    """

    name: str
    column: str
    rows: pd.DataFrame
    warnings: tuple[str, ...] = ()
    available: float = math.inf

    @property
    def is_score(self) -> bool:
        """Whether more is better: the error is 1 − score."""
        from medscale_cli.curve_columns import is_score

        return is_score(self.column)

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
        return fit(
            self.rows["size"],
            errors,
            replicates=replicates,
            largest=self._largest,
            available=self.available,
        )

    def _law_of_cases(self) -> Fit:
        import pandas as pd

        from medscale.laws import fit_cases

        usual = {"split": 0, "replicate": 0, "subject": self.rows["case"]}
        # A measure need not exist in every case, such as a distance to an empty mask.
        scored = self.rows[self.column].dropna()
        errors = pd.Series(self._errors(scored), scored.index)
        table = pd.DataFrame(usual | dict(self.rows) | {"error": errors})
        return fit_cases(table, largest=self._largest, available=self.available)

    @property
    def _largest(self) -> float:
        return 1.0 if self.is_score else math.inf

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

        return errors_from_scores(values) if self.is_score else values


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
    from medscale.study.runstore import RunStore
    from medscale_cli.curve_columns import default_column, name_sizes, require, unused
    from medscale_cli.curve_table import numbers, read_table

    column = column and column.strip().lower()
    if source.is_dir():
        table = _run_table(source, column)
        column = column or default_column(source, table)
        for name in ("size", column):
            require(source, table, name)
        groups = [name for name in _GROUPS if name in table and name != "dataset"]
        pools = RunStore(source).pool_sizes()
        return [
            Curve(name, column, rows, available=pools.get(rows["task"].iloc[0], math.inf))
            for name, rows in _split(source, table, groups)
        ]
    table = name_sizes(read_table(source, labels=_LABELS))
    column = column or default_column(source, table)
    for name in dict.fromkeys(("size", column)):
        require(source, table, name)
        table[name] = numbers(source, table[name])
    groups = [name for name in _GROUPS if name in table]
    return [
        Curve(name, column, rows, unused(rows, {"size", column, *_LABELS}))
        for name, rows in _split(source, table, groups)
    ]


def parse_target(text: str) -> tuple[str, float]:
    """Return the column and the error that a target such as dice=0.90 means.

    Raises:
        ConfigError: If the text has another form, or nothing can reach it.
    """
    from medscale.errors import ConfigError
    from medscale_cli.curve_columns import is_score

    column, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals or not column.strip() or not math.isfinite(value):
        raise ConfigError(f"--target got {text!r}, expected dice=0.90 or error=0.05")
    column = column.strip().lower()
    score = is_score(column)
    error = 1 - value if score else value
    if error <= 0 or (score and value < 0):
        expected = "a share below 1, such as 0.90" if score else "an error above 0"
        raise ConfigError(f"--target got {text!r}, expected {expected}")
    return column, error


def _run_table(run: Path, column: str | None) -> pd.DataFrame:
    from medscale.errors import StoreError
    from medscale.report.tables import case_table, trial_table
    from medscale.study.runstore import RunStore
    from medscale_cli.curve_columns import default_column

    store = RunStore(run)
    store.study()
    trials, cases = trial_table(store), case_table(store)
    if trials.empty:
        raise StoreError(f"no trial of {run} is done yet: `medscale status {run}` shows more")
    return cases if (column or default_column(run, trials)) in cases else trials


def _split(source: Path, table: pd.DataFrame, groups: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each curve, with its name."""
    if not groups:
        return [(source.stem, table)]
    parts = table.groupby(groups, sort=False)
    return [(" ".join(map(str, names)), rows) for names, rows in parts]

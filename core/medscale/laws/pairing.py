"""Pairs of trials that differ in the arm only, and the errors of their test subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medscale.errors import DataError

TRIAL = ["size", "split", "replicate"]
"""Columns that say which trials of two arms belong together."""
_NAMED = 5
"""Trials that a warning names before it counts."""
_CASE = [*TRIAL, "subject", "case"]


@dataclass(frozen=True)
class PairedErrors:
    """What two arms make of the same training subsets and test cases.

    Attributes:
        sizes: (K,) ascending.
        errors: (2, K, R, S) share of each subject in the error of a trial, baseline first: the sum
            over its cases divided by the number of cases in the trial, so that the sum over S is
            the trial's mean error. Zero where a subject or a trial is missing.
        shares: (K, R, S) share of each subject in the cases of a trial; sums to one over S, to zero
            where the trial is missing.
        warnings: Rows that were dropped, in words.
    """

    sizes: np.ndarray
    errors: np.ndarray
    shares: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def pairs(self) -> np.ndarray:
        """(K,) number of paired trials by size."""
        return np.asarray((self.shares.sum(2) > 0).sum(1))

    @property
    def subjects(self) -> int:
        """Number of test subjects."""
        return int(self.shares.shape[2])

    def repeated(self) -> PairedErrors:
        """Return the sizes that have two pairs or more; all of them where none has."""
        keep = self.pairs >= min(2, self.pairs.max())
        return PairedErrors(
            self.sizes[keep], self.errors[:, keep], self.shares[keep], self.warnings
        )


def pair(baseline: pd.DataFrame, arm: pd.DataFrame) -> PairedErrors:
    """Pair the rows of two arms by training subset and test case.

    Args:
        baseline: Columns size, split, replicate, subject, case and error: a row per test case.
        arm: The same of the other arm.

    Returns:
        The pairs; rows without a partner, and errors that are no finite number, are left out and
        named in the warnings, and so are sizes at which an arm makes no error at all.

    Raises:
        DataError: If an arm has two rows for one test case of one trial.
    """
    warnings: list[str] = []
    sides = [_finite(side, warnings) for side in (baseline, arm)]
    for side in sides:
        if side.duplicated(_CASE).any():
            row = side[side.duplicated(_CASE)].to_dict("records")[0]
            raise DataError(
                f"case {row['case']!r} is twice in the trial of {_name(row)}: compare one run with "
                "itself, not several at once"
            )
    columns = [*_CASE, "error"]
    merged = sides[0][columns].merge(
        sides[1][columns], on=_CASE, how="outer", suffixes=("_baseline", "_arm"), indicator="side"
    )
    paired = merged[merged["side"] == "both"]
    _name_unpaired(merged, paired, warnings)
    for size, rows in paired.groupby("size"):
        if (rows[["error_baseline", "error_arm"]].mean() <= 0).any():
            warnings.append(f"n = {size}: a mean of zero has no ratio, so the size is left out")
            paired = paired[paired["size"] != size]
    return _tensors(paired, tuple(warnings))


def _finite(rows: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    finite = np.isfinite(rows["error"].to_numpy(float))
    if not finite.all():
        warnings.append(f"{(~finite).sum()} rows whose error is no finite number are left out")
    return rows.iloc[np.flatnonzero(finite)]


def _name_unpaired(merged: pd.DataFrame, paired: pd.DataFrame, warnings: list[str]) -> None:
    alone = merged[merged["side"] != "both"]
    in_pair = pd.MultiIndex.from_frame(alone[TRIAL]).isin(pd.MultiIndex.from_frame(paired[TRIAL]))
    for side, owner in (("left_only", "the baseline"), ("right_only", "the arm")):
        rows = alone[~in_pair & (alone["side"] == side)].drop_duplicates(TRIAL)
        if len(rows):
            names = "; ".join(_name(row) for row in rows.head(_NAMED).to_dict("records"))
            more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
            warnings.append(f"left out, as only {owner} has these trials: {names}{more}")
    if in_pair.any():
        first = alone[in_pair].to_dict("records")[0]
        warnings.append(
            f"{in_pair.sum()} test cases that one of two paired trials lacks are left out, first "
            f"{first['case']!r} of {_name(first)}"
        )


def _tensors(paired: pd.DataFrame, warnings: tuple[str, ...]) -> PairedErrors:
    sizes, size = np.unique(paired["size"].to_numpy(), return_inverse=True)
    trial = paired.groupby(["split", "replicate"]).ngroup().to_numpy()
    # Names of subjects hold within a data set, so one subject keeps its column in every split.
    subject, subjects = pd.factorize(paired["subject"], sort=True)
    shape = (len(sizes), trial.max(initial=-1) + 1, len(subjects))
    counts = np.zeros(shape)
    errors = np.zeros((2, *shape))
    np.add.at(counts, (size, trial, subject), 1)
    for side, column in enumerate(("error_baseline", "error_arm")):
        np.add.at(errors[side], (size, trial, subject), paired[column].to_numpy(float))
    cases = counts.sum(2, keepdims=True)
    cases[cases == 0] = 1
    return PairedErrors(sizes, errors / cases, counts / cases, warnings)


def _name(row: Mapping[Any, object]) -> str:
    return f"n = {row['size']}, split {row['split']}, replicate {row['replicate']}"

"""The page's tables: their cells and headings as people read them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from medscale.report.wording import number, percent

_HEADINGS = {"backbone": "network", "size": "n", "p_adjusted": "p, corrected"}


def heading(column: str) -> str:
    """Return a column's name in words."""
    return _HEADINGS.get(column, column.replace("_", " "))


def cell(value: Any) -> str:
    """Return a table's value as text."""
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else number(value)
    return "" if value is None or value is pd.NA else str(value)


def movements(parameters: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm moves of the law: a difference only where it is identified.

    Args:
        parameters: As `medscale.laws.comparison.Comparison` has it.
    """
    rows = [
        {name: row[name] for name in ("task", "backbone", "arm", "parameter")}
        | {
            "baseline": row["baseline_value"],
            "with the arm": row["arm_value"],
            "difference": _difference(row) if row["identified"] else "not identified",
            "p, corrected": cell(row["p_adjusted"]) if row["identified"] else "–",
            "alone": "–" if math.isnan(row["alone"]) else percent(row["alone"]),
        }
        for row in parameters.to_dict("records")
    ]
    return pd.DataFrame(rows)


def _difference(row: dict[Any, Any]) -> str:
    # Either end may be negative, and none is open: no dash between them.
    sign = "+" if row["difference"] > 0 else ""
    ends = f"{number(row['low'])} to {number(row['high'])}"
    return f"{sign}{number(row['difference'])} ({ends})"

"""Tables of the page read well, and claim no difference that is not identified."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from medscale.report.page_tables import cell, heading, movements


def moved(**changes: Any) -> dict[str, Any]:
    row = {
        "task": "lv",
        "backbone": "tiny",
        "arm": "red",
        "parameter": "factor",
        "baseline_value": 0.8,
        "arm_value": 0.6,
        "difference": -0.2,
        "low": -0.31,
        "high": 0.0512,
        "p_adjusted": 0.0213,
        "alone": 0.874,
        "identified": True,
    }
    return row | changes


def test_a_difference_stands_with_its_interval_only_where_it_is_identified() -> None:
    rows = [
        moved(),
        moved(difference=0.25),
        moved(identified=False),
        moved(identified=False, difference=math.nan, low=math.nan, high=math.nan, alone=math.nan),
    ]
    table = movements(pd.DataFrame(rows))
    assert table["difference"].tolist() == [
        "-0.200 (-0.310 to 0.0512)",
        "+0.250 (-0.310 to 0.0512)",
        "not identified",
        "not identified",
    ]
    assert table["p, corrected"].tolist() == ["0.0213", "0.0213", "–", "–"]
    assert table["alone"].tolist() == ["87\u202f%", "87\u202f%", "87\u202f%", "–"]
    assert not {"low", "high", "identified"} & set(table.columns)


def test_cells_and_headings_are_words() -> None:
    assert [cell(value) for value in (0.12345, 4.0, None, pd.NA, math.inf, "lv")] == [
        "0.123",
        "4",
        "",
        "",
        "∞",
        "lv",
    ]
    assert heading("backbone") == "network"
    assert heading("multiplier_low") == "multiplier low"

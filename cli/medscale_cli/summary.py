"""The scores of a run as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medscale.report import tables
from medscale.report.notes import plugin_notes

if TYPE_CHECKING:
    import pandas as pd

    from medscale.study.runstore import RunStore


_ENDLESS = 10_000


def show_results(store: RunStore) -> None:
    """Print a table per task and network, and what plugins said.

    Sizes are down, arms across where there is room.
    """
    console = Console(highlight=False)
    summary = tables.summary_table(tables.trial_table(store))
    for (dataset, task, backbone), rows in summary.groupby(
        ["dataset", "task", "backbone"], sort=False
    ):
        title = f"{dataset} · {task} · {backbone}"
        across = _across(title, rows)
        anywhere = console.options.update(max_width=_ENDLESS)
        fits = console.measure(across, options=anywhere).maximum <= console.width
        console.print(across if fits else _down(title, rows))
    if int(summary["trials"].max()) > 1:
        console.print("± the standard deviation over trials")
    if int(summary["empty"].sum()):
        console.print("× trials that predict background in every test case")
    for note in plugin_notes(store):
        console.print(f"note     {note}", markup=False)


def _across(title: str, rows: pd.DataFrame) -> Table:
    """Return a table with the arms beside each other."""
    table = _empty_table(title)
    arms = list(dict.fromkeys(rows["arm"]))
    for arm in arms:
        table.add_column(f"{escape(arm)}\nDice", justify="right", no_wrap=True)
        table.add_column("\nBCE", justify="right", no_wrap=True)
        table.add_column("\ntrials", justify="right", no_wrap=True)
    for size, of_size in rows.groupby("size"):
        by_arm = {row["arm"]: _cells(row) for _, row in of_size.iterrows()}
        table.add_row(str(size), *(cell for arm in arms for cell in by_arm.get(arm, ("", "", ""))))
    return table


def _down(title: str, rows: pd.DataFrame) -> Table:
    """Return a table with the arms below each other, size by size."""
    table = _empty_table(title)
    table.add_column("arm")
    for name in ("Dice", "BCE", "trials"):
        table.add_column(name, justify="right")
    for size, of_size in rows.groupby("size"):
        for place, (_, row) in enumerate(of_size.iterrows(), start=1):
            first = str(size) if place == 1 else ""
            table.add_row(
                first, escape(row["arm"]), *_cells(row), end_section=place == len(of_size)
            )
    return table


def _empty_table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("n", justify="right")
    return table


def _cells(row: pd.Series) -> list[str]:
    spread = "" if row["trials"] < 2 else f" ± {row['dice_sd']:.3f}"
    empty = f" ({row['empty']}×)" if row["empty"] else ""
    return [f"{row['dice_mean']:.3f}{spread}", f"{row['bce_mean']:.4f}", f"{row['trials']}{empty}"]

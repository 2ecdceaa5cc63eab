"""`medscale results`: the numbers and the figure of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medscale.study.runstore import RunStore


_DERIVED = (
    *("results.csv", "results.parquet", "cases.csv", "cases.parquet"),
    *("curve.png", "curve.svg"),
)
_MARKER = ".derived.json"
"""Written after all of them: what they were made of."""


def results(
    run: Annotated[Path, typer.Argument(help="Run folder, such as runs/acdc-lv.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object per trial.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write tables and figures anew first.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also compare the arms with `none`.")
    ] = False,
) -> None:
    """Show a run's table; its files are results.csv, cases.csv, curve.png and friends."""
    from medscale.errors import ConfigError, StoreError
    from medscale.report.tables import trial_table
    from medscale.study.runstore import RunStore
    from medscale_cli.compare import compare_run, show_comparison
    from medscale_cli.summary import show_results

    if json and compare:
        raise ConfigError(
            f"--json and --compare do not go together: use `medscale compare {run} --json`"
        )
    store = RunStore(run)
    store.study()
    if not any(store.is_done(trial.spec.key) for trial in store.plan()):
        raise StoreError(
            f"no trial of {run} is done yet: `medscale status {run}` shows how far it is"
        )
    if rebuild:
        write_derived(store)
    if json:
        typer.echo(trial_table(store).to_json(orient="records", lines=True), nl=False)
        return
    show_results(store)
    if compare:
        show_comparison(compare_run(store))


def write_derived(store: RunStore) -> None:
    """Write the tables and the learning curve of a run; nothing where no trial is done.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    from medscale import atomic
    from medscale.errors import storing
    from medscale.report.figures import learning_curves, save
    from medscale.report.tables import trial_table, write_tables

    table = trial_table(store)
    if table.empty:
        return
    with storing(store.folder):
        write_tables(store)
        save(learning_curves(table), store.folder / "curve")
        atomic.write_json(store.folder / _MARKER, _made_of(store))


def derived_is_current(store: RunStore) -> bool:
    """Return whether tables and figures are there, all made of just the trials that are done.

    A process that was killed, or a full disk, may have left some of them out or old.
    """
    from medscale.errors import StoreError
    from medscale.study.records import read_json

    try:
        same = read_json(store.folder / _MARKER) == _made_of(store)
    except StoreError:
        return False
    return same and all((store.folder / name).is_file() for name in _DERIVED)


def _made_of(store: RunStore) -> dict[str, list[str]]:
    """Return the done trials with their labels, as the marker keeps them."""
    return {
        trial.spec.key: [trial.backbone, trial.arm]
        for trial in store.plan()
        if store.is_done(trial.spec.key)
    }

"""`medscale status`: how far a run is, from any terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def status(
    run: Annotated[Path, typer.Argument(help="Run folder, such as runs/acdc-lv.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show how many trials are done, running, stopped, failed and open, and why some failed."""
    import json as json_module

    from rich.console import Console
    from rich.markup import escape

    from medscale.study.records import read_json
    from medscale.study.runstore import RunStore

    store = RunStore(run)
    study = store.study()
    trials = store.plan()
    done = [trial for trial in trials if store.is_done(trial.spec.key)]
    failures = [
        failure for trial in trials if (failure := store.failure(trial.spec.key)) is not None
    ]
    reports = [read_json(path) for path in sorted(store.work.glob("*.report.json"))]
    names = {
        t.spec.key: f"{t.spec.task} {t.arm} n={t.spec.size} #{t.spec.replicate + 1}" for t in trials
    }
    # A worker that was killed leaves its report, but not its claim.
    settled = {"", *(t.spec.key for t in done), *(failure.key for failure in failures)}
    running, stopped = [], []
    for report in reports:
        key = report.get("current", "")
        entry = {"trial": names.get(key, ""), "share": report.get("share", 0.0)}
        if key and store.is_claimed(key):
            running.append(entry)
        elif key not in settled:
            stopped.append(entry)
    open_count = len(trials) - len(done) - len(failures)
    if json:
        counts = {"planned": len(trials), "done": len(done), "open": open_count}
        failed = [failure.model_dump(mode="json") for failure in failures]
        states = {"failed": failed, "running": running, "stopped": stopped}
        typer.echo(json_module.dumps({**counts, **states}))
        return
    console = Console(highlight=False)
    console.print(
        f"{escape(str(run))}: {len(done)} of {len(trials)} trials done, {len(failures)} failed"
    )
    console.print(
        f"started  {study['requests'][0]['when']}, last asked {study['requests'][-1]['when']}"
    )
    for entry in running:
        console.print(f"running  {escape(entry['trial'])}  {entry['share']:.0%}")
    for entry in stopped:
        console.print(
            f"stopped  {escape(entry['trial'])} at {entry['share']:.0%}: the same command trains "
            "it anew"
        )
    if not running and open_count:
        console.print(f"nobody is working on the other {open_count}: run the command again")
    for failure in failures:
        where = store.trial_folder(failure.key) / "failure.json"
        console.print(
            f"failed   {names[failure.key]}: {escape(failure.type)}: {escape(failure.message)} "
            f"(in {escape(failure.stage)}; {escape(str(where))})"
        )

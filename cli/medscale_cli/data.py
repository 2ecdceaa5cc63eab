"""`medscale data`: public data sets on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from medscale.data.manifests import Manifest
    from medscale.data.progress import Progress, Step
    from medscale.data.sets import SetRecord
    from medscale.data.verification import Verification

data_app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Public data sets: what there is, getting them, checking them.\n\n"
    "They lie in the folder that MEDSCALE_DATA names (default: the platform's data directory). "
    "Your own images need none of this: see [bold]--dataset folder --data DIR[/bold].",
)

_PLAIN_WIDTH = 160
_QUIET_S = 10.0
"""Seconds between two plain lines about one task."""


@data_app.command("list")
def list_sets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every public set and whether it is on this machine."""
    from medscale.data.manifests import all_manifests
    from medscale.data.sets import data_home, set_status

    rows = [(manifest, set_status(name)) for name, manifest in all_manifests().items()]
    if as_json:
        _print_json([_row(manifest) for manifest, _ in rows])
        return
    from rich.table import Table

    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "title", "modality", "licence", "registration", "status"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "status"))
    for manifest, status in rows:
        colour = {"present": "green", "partial": "yellow"}.get(status.state, "dim")
        table.add_row(
            manifest.name,
            manifest.title,
            manifest.modality,
            manifest.licence,
            _access(manifest),
            f"[{colour}]{status.state}[/{colour}]",
        )
    console.print(table)
    console.print(f"\n{data_home()} (set MEDSCALE_DATA for another place)", soft_wrap=True)


@data_app.command("status")
def show_status(
    name: Annotated[str | None, typer.Argument(help="A set; all of them without.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show whether a set is on this machine, where it came from, and what to beware of."""
    from medscale.data.manifests import all_manifests, load_manifest

    chosen = list(all_manifests().values()) if name is None else [load_manifest(name)]
    if as_json:
        rows = [_row(manifest) for manifest in chosen]
        _print_json(rows if name is None else rows[0])
        return
    if name is not None:
        _describe(chosen[0])
        return
    from medscale.data.sets import data_home, set_folder, set_status

    for manifest in chosen:
        status = set_status(manifest.name)
        if status.state != "missing":
            where = set_folder(manifest.name) if status.record else status.detail
            typer.echo(f"{manifest.name:<22} {status.state:<8} {where}")
    if all(set_status(manifest.name).state == "missing" for manifest in chosen):
        typer.echo(f"no set is in {data_home()} yet (`medscale data list` shows what there is)")


@data_app.command("fetch")
def fetch_set(
    name: Annotated[str, typer.Argument(help="A set, as `medscale data list` calls it.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Agree to the licence without being asked.")
    ] = False,
) -> None:
    """Download a set from its publisher, check it, and unpack it."""
    from medscale.data.acquisition import fetch
    from medscale.data.manifests import load_manifest
    from medscale.data.progress import in_words
    from medscale.data.sets import download_folder, how_to_get, set_folder, set_status
    from medscale.errors import DataError, MedscaleError

    manifest = load_manifest(name)
    if set_status(name).state == "present":
        typer.echo(f"{name} is here already: {set_folder(name)}")
        return
    if not manifest.scriptable:
        raise DataError(f"{name} cannot be fetched: {how_to_get(manifest)}")
    size = manifest.download_size
    typer.echo(f"{manifest.title}\nlicence: {manifest.licence}\ncite: {manifest.citation}")
    typer.echo(f"download: {f'about {in_words(size)}' if size else 'size not published'}")
    if not yes:
        if not _is_terminal():
            raise MedscaleError(f"agree to the licence of {name} with --yes, or use a terminal")
        if not typer.confirm("Agree to the licence and download?", default=True):
            typer.echo("nothing was downloaded")
            raise typer.Exit(1)
    with _progress() as progress:
        record = fetch(manifest, progress=progress)
    _arrived(manifest, record)
    kept = sum(source.size for source in record.sources)
    typer.echo(
        f"the downloaded files stay in {download_folder(name)} ({in_words(kept)}), for `medscale "
        "data verify`; you may delete them"
    )


@data_app.command("import")
def import_path(
    name: Annotated[str, typer.Argument(help="A set, as `medscale data list` calls it.")],
    path: Annotated[Path, typer.Argument(help="Its archive, or its unpacked folder.")],
    link: Annotated[
        bool, typer.Option("--link", help="Leave the folder where it is and point to it.")
    ] = False,
) -> None:
    """Take over a set that you have already, such as one that needs a registration."""
    from medscale.data.acquisition import import_set
    from medscale.data.manifests import load_manifest

    manifest = load_manifest(name)
    with _progress() as progress:
        record = import_set(manifest, path, link=link, progress=progress)
    _arrived(manifest, record)


@data_app.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(help="A set that is on this machine.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="A dataset plugin, with --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The folder it reads.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the plugin, NAME.OPTION=VALUE; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hash a set's files again and load every case; list everything that is wrong."""
    from medscale.config import parse_settings
    from medscale.data.manifests import load_manifest
    from medscale.data.sets import dataset_folder
    from medscale.data.verification import verify_folder, verify_set
    from medscale.errors import ConfigError

    if (name is None) == (dataset is None):
        raise ConfigError("give either the name of a set, or --dataset PLUGIN with --data DIR")
    options = parse_settings(settings or [])
    strange = set(options) - {dataset}
    if strange:
        raise ConfigError(f"--set {sorted(strange)[0]}.…: only options of --dataset can be set")
    with _progress() as progress:
        if name is not None:
            result = verify_set(load_manifest(name), progress=progress)
        else:
            assert dataset is not None
            folder = dataset_folder(dataset, data)
            if folder is None:
                raise ConfigError(f"say which folder dataset {dataset} is to read: --data DIR")
            result = verify_folder(
                dataset, folder, options=options.get(dataset, {}), progress=progress
            )
    _report(result, as_json=as_json)
    if result.faults:
        raise typer.Exit(1)


def _report(result: Verification, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        _print_json({**asdict(result), "ok": not result.faults})
        return
    for fault in result.faults:
        # Most sentences name their file already.
        place = "" if fault.path in fault.message else f"{fault.path}: "
        typer.echo(f"fault: {place}{fault.message}")
    for note in result.notes:
        typer.echo(f"note: {note}")
    checked = _number(result.cases, "case")
    if result.archives:
        checked += f" and {_number(result.archives, 'source file')}"
    verdict = _number(len(result.faults), "fault") if result.faults else "no fault"
    typer.echo(f"{result.name}: {verdict} in {checked} ({result.folder})")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _arrived(manifest: Manifest, record: SetRecord) -> None:
    from medscale.data.sets import set_folder

    for note in (*record.notes, *manifest.notes):
        typer.echo(f"note: {note}")
    typer.echo(f"{manifest.name} is here: {set_folder(manifest.name)} ({record.how})")
    if manifest.plugin:
        typer.echo(
            f"next: `medscale data verify {manifest.name}`, then "
            f"`medscale run --dataset {manifest.plugin} --data {manifest.name}`"
        )
    else:
        typer.echo("no plugin reads this set yet: `medscale new dataset NAME` starts one")


def _describe(manifest: Manifest) -> None:
    from medscale.data.sets import how_to_get, set_folder, set_status

    status = set_status(manifest.name)
    facts = {
        "set": f"{manifest.name}: {manifest.title}",
        "status": status.state + (f" ({status.detail})" if status.detail else ""),
        "homepage": manifest.homepage,
        "licence": manifest.licence,
        "cite": manifest.citation,
        "modality": manifest.modality,
        "labels": ", ".join(f"{value} {what}" for value, what in manifest.labels.items()),
        "counts": ", ".join(f"{count} {what}" for what, count in manifest.counts.items()),
        "layout": manifest.layout,
        "read by": manifest.plugin or "no plugin yet",
    }
    if status.record is not None:
        facts["folder"] = str(set_folder(manifest.name))
        facts["came"] = f"{status.record.date:%Y-%m-%d}, {status.record.how}"
        if status.record.origin:
            facts["came"] += f" from {status.record.origin}"
    else:
        facts["next"] = how_to_get(manifest)
    for fact, value in facts.items():
        typer.echo(f"{fact + ':':<10} {value.replace('_', ' ') if fact == 'counts' else value}")
    for source in status.record.sources if status.record else ():
        published = "as published" if source.published else "none published"
        typer.echo(f"file:      {source.name}, {source.algorithm} {source.digest} ({published})")
    for note in manifest.notes:
        typer.echo(f"beware:    {note}")


def _row(manifest: Manifest) -> dict[str, Any]:
    """Return a set for programs."""
    from medscale.data.sets import set_folder, set_status

    status = set_status(manifest.name)
    return {
        **manifest.model_dump(mode="json"),
        "scriptable": manifest.scriptable,
        "status": status.state,
        "detail": status.detail,
        "folder": str(set_folder(manifest.name)),
        "record": status.record.model_dump(mode="json") if status.record else None,
    }


def _access(manifest: Manifest) -> str:
    if manifest.registration:
        return "needed"
    return "no" if manifest.scriptable else "no, by hand"


def _print_json(document: object) -> None:
    import json

    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stderr.isatty()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Give what draws bars on a terminal, and prints plain lines elsewhere; on stderr."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _PlainLines()
        return
    from rich import progress

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[amount]}"),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bars:
        tasks: dict[str, progress.TaskID] = {}

        def draw(step: Step) -> None:
            if step.task not in tasks:
                tasks[step.task] = bars.add_task(step.task, total=step.total, amount="")
            bars.update(
                tasks[step.task], completed=step.done, total=step.total, amount=_amount(step)
            )

        yield draw


class _PlainLines:
    """One line when a task is done, and now and then before."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._latest: dict[str, float] = {}

    def __call__(self, step: Step) -> None:
        """Print a line if one is due."""
        now = time.monotonic()
        begun = self._begun.setdefault(step.task, now)
        finished = step.total is not None and step.done >= step.total
        if not finished and now - self._latest.setdefault(step.task, begun) < _QUIET_S:
            return
        self._latest[step.task] = now
        left = ""
        if not finished and step.total and step.done:
            seconds = (now - begun) * (step.total - step.done) / step.done
            left = f", about {_duration(seconds)} left"
        typer.echo(f"{step.task}: {_amount(step)}{left}", err=True)


def _amount(step: Step) -> str:
    from medscale.data.progress import in_words

    if step.unit == "cases":
        return f"{step.done} of {step.total} cases"
    return in_words(step.done) + (f" of {in_words(step.total)}" if step.total else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"

"""`medscale doctor`: whether this machine and its plugins are fit for work."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from medscale.registry import PluginRecord, Registry

OK, WARNING, FAULT = "ok", "warning", "fault"
LIBRARIES = ("torch", "monai", "numpy", "numba", "zarr", "scipy", "pydantic", "stevedore")
_GIGABYTE = 1e9
_LITTLE_SPACE = 5.0


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        subject: What was looked at.
        state: `OK`, `WARNING` (works, but worth knowing) or `FAULT`.
        text: What was found and, where something is wrong, what to do.
        detail: A traceback, for those who mend it.
    """

    subject: str
    state: str
    text: str
    detail: str = ""


def doctor(
    name: Annotated[str, typer.Argument(help="one plugin; all of them by default")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Check this machine and import every plugin, each in a process of its own."""
    from medscale.registry import default_registry

    registry = default_registry()
    # A name that nobody has is told before the slow part.
    records = _chosen(name, registry)
    findings = [*examine_machine(), *examine_plugins(records)]
    if as_json:
        import json

        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == FAULT for finding in findings):
        raise typer.Exit(1)


def examine_machine() -> list[Finding]:
    """Look at Python, the libraries, the processor, the memory and the data folder."""
    return [
        Finding("python", OK, f"{sys.version.split()[0]} ({sys.executable})"),
        *_libraries(),
        _accelerator(),
        *_hardware(),
        _data_folder(),
    ]


def examine_plugins(records: Sequence[PluginRecord]) -> list[Finding]:
    """Import and construct plugins in child processes and compare what is installed.

    Args:
        records: The plugins to examine.

    Returns:
        One finding for each plugin, and one for each distribution whose sources declare
        something else than what is installed.
    """
    from medscale import registry
    from medscale_cli.probe import probe_all

    usable = [record for record in records if record.status == registry.OK and record.spec]
    verdicts = probe_all([record.spec for record in usable if record.spec], construct=True)
    findings = []
    for record, verdict in zip(usable, verdicts, strict=True):
        subject = f"{record.kind} {record.name}"
        if verdict.message:
            findings.append(Finding(subject, FAULT, verdict.message, verdict.traceback))
        else:
            text = f"{record.distribution} {record.version}"
            findings.append(
                Finding(subject, OK, f"{text} ({verdict.note})" if verdict.note else text)
            )
    findings += [
        Finding(
            f"{record.kind} {record.name}",
            FAULT,
            f"{record.status}: {record.message}",
            _traceback(record.error),
        )
        for record in records
        if record.status != registry.OK
    ]
    for distribution in sorted({record.distribution for record in records}):
        findings += _stale_metadata(distribution)
    return findings


def _chosen(name: str, registry: Registry) -> tuple[PluginRecord, ...]:
    if not name:
        return registry.records
    records = registry.named(name)
    if not records:
        from medscale.errors import PluginError, did_you_mean

        known = {record.name for record in registry.records}
        raise PluginError(
            f"no plugin is called {name!r}: {did_you_mean(name, known)} (`medscale list` shows all)"
        )
    return records


def _libraries() -> list[Finding]:
    from medscale import __version__
    from medscale.discovery import installed_version

    findings = [Finding("medscale", OK, __version__)]
    for library in LIBRARIES:
        version = installed_version(library)
        if version is not None:
            findings.append(Finding(library, OK, version))
        elif library == "monai":  # a dependency of plugins, not of medscale
            findings.append(Finding(library, WARNING, "not installed; many plugins need it"))
        else:
            findings.append(
                Finding(library, FAULT, f"not installed: pip install {library}, or medscale again")
            )
    return findings


def _accelerator() -> Finding:
    try:
        import torch

        if not torch.cuda.is_available():
            return Finding("accelerator", OK, "none that torch can use; training runs on the CPU")
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except Exception as error:  # noqa: BLE001 - broken drivers raise all sorts of things
        return Finding("accelerator", FAULT, f"torch fails: {type(error).__name__}: {error}")
    return Finding("accelerator", OK, f"{', '.join(names)} (CUDA {torch.version.cuda})")


def _hardware() -> list[Finding]:
    # Where a scheduler allots some of the cores, those are what counts.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    findings = [Finding("CPU cores", OK, str(cores))]
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIGABYTE
    except (AttributeError, ValueError, OSError):
        return findings
    return [*findings, Finding("memory", OK, f"{total:.1f} GB")]


def _data_folder() -> Finding:
    import shutil
    import tempfile

    from medscale.data.sets import data_home

    home = data_home()
    # It is made when something is fetched; until then its nearest existing parent decides.
    place = next((folder for folder in (home, *home.parents) if folder.exists()), Path.cwd())
    advice = "set MEDSCALE_DATA to a folder that you may write"
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free / _GIGABYTE
    except OSError as error:
        return Finding("data folder", FAULT, f"{home} cannot be written ({error}): {advice}")
    if free < _LITTLE_SPACE:
        return Finding(
            "data folder",
            WARNING,
            f"{home}: only {free:.1f} GB free; MEDSCALE_DATA may name a larger disk",
        )
    return Finding("data folder", OK, f"{home} ({free:.0f} GB free)")


def _stale_metadata(distribution: str) -> list[Finding]:
    """Compare the entry points that an editable install has with those its sources declare."""
    import tomllib

    from medscale.discovery import editable_folder, find
    from medscale.spec import KINDS, group

    folder = editable_folder(distribution)
    if folder is None:
        return []
    if not Path(folder).is_dir():
        text = f"its sources were in {folder}, which is gone: install it again"
        return [Finding(distribution, FAULT, text)]
    try:
        project = tomllib.loads(Path(folder, "pyproject.toml").read_text(encoding="utf-8"))
        groups: dict[str, dict[str, str]] = project["project"].get("entry-points", {})
    except (OSError, ValueError, KeyError):
        return []  # other build tools keep their entry points elsewhere
    declared = {
        (kind, name, value) for kind in KINDS for name, value in groups.get(group(kind), {}).items()
    }
    installed = {
        (entry.kind, entry.name, entry.value)
        for entry in find()
        if entry.distribution == distribution
    }
    differing = sorted({f"{kind} {name}" for kind, name, _ in declared ^ installed})
    if not differing:
        return []
    text = (
        f"its pyproject.toml and what is installed differ in {', '.join(differing)}: "
        f"re-install it: pip install -e {folder}"
    )
    return [Finding(distribution, FAULT, text)]


def _traceback(error: BaseException | None) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).strip() if error else ""


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    from medscale.registry import one_line

    console = Console(highlight=False)
    styles = {OK: "green", WARNING: "yellow", FAULT: "bold red"}
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.state:8}", style=styles[finding.state])
        subject = one_line(finding.subject).ljust(width)
        line.append(f"{subject}  {finding.text}", style="default")
        console.print(line, soft_wrap=True)
        for row in finding.detail.splitlines():
            console.print(Text(f"    {row}", style="dim"), soft_wrap=True)
    faults = sum(finding.state == FAULT for finding in findings)
    console.print(f"\n{faults} faults" if faults != 1 else "\n1 fault")

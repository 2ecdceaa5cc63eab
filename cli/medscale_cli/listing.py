"""`medscale list`: every installed plugin with its status.

The whole command, Typer left out, uses the standard library and as little of it as possible:
people and scripts call it often, and it must not cost what the plugins cost.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from medscale.spec import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medscale.registry import PluginRecord

_HEADER = ("KIND", "NAME", "VERSION", "STATUS", "DISTRIBUTION", "SUMMARY")
_STATUS = _HEADER.index("STATUS")
_FLAGS = ("--json", "--check", "--strict")
_BOLD, _GREEN, _YELLOW, _RED, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


class Request(NamedTuple):
    """What was asked for.

    Attributes:
        kind: One kind of plugin, singular or plural, or "" for all.
        as_json: Whether a program reads the answer.
        check: Whether to import every plugin, each in a process of its own.
        strict: Whether a plugin that cannot be used is a failure.
    """

    kind: str = ""
    as_json: bool = False
    check: bool = False
    strict: bool = False


def fast_path(arguments: list[str]) -> int | None:
    """Answer without Typer.

    Args:
        arguments: What follows `medscale list`.

    Returns:
        The exit status, or None where an argument is left to Typer, such as `--help`.
    """
    request = _parse(arguments)
    if request is None:
        return None
    try:
        return show(request)
    except Exception as error:
        from medscale.errors import MedscaleError

        if not isinstance(error, MedscaleError):
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


def show(request: Request) -> int:
    """Print the plugins and return the exit status.

    Raises:
        ConfigError: If there is no such kind.
    """
    from medscale.registry import OK, default_registry

    kind = _kind(request.kind)
    registry = default_registry()
    records = registry.of_kind(kind) if kind else registry.records
    if request.check:
        records = _check(records)
    if request.as_json:
        _print_json(records)
    else:
        _print_table(records)
    unusable = sum(record.status != OK for record in records)
    if unusable:
        _say(f"{unusable} of {len(records)} plugins cannot be used (`medscale doctor` says more)")
    elif not records:
        _say(f"no {kind or 'plugin'} is installed")
    return 1 if unusable and request.strict else 0


def _parse(arguments: list[str]) -> Request | None:
    words = [argument for argument in arguments if argument not in _FLAGS]
    if len(words) > 1 or any(not word or word.startswith("-") for word in words):
        return None
    flags = {flag: flag in arguments for flag in _FLAGS}
    return Request("".join(words), flags["--json"], flags["--check"], flags["--strict"])


def _kind(text: str) -> str:
    singular = text.lower().removesuffix("s")
    if singular and singular not in KINDS:
        from medscale.errors import ConfigError, did_you_mean

        raise ConfigError(f"no kind of plugin is called {text!r}: {did_you_mean(singular, KINDS)}")
    return singular


def _check(records: Sequence[PluginRecord]) -> tuple[PluginRecord, ...]:
    """Return the records with the status that importing everything gives them."""
    from medscale.registry import BROKEN
    from medscale_cli.probe import probe_all

    # A record that is not ok has said what is wrong; its target would only repeat it.
    usable = [record for record in records if record.status == "ok" and record.spec]
    if sys.stderr.isatty():
        _say(f"importing {len(usable)} plugins …")
    verdicts = probe_all([record.spec for record in usable if record.spec])
    broken = {
        (record.kind, record.name): verdict.message
        for record, verdict in zip(usable, verdicts, strict=True)
        if verdict.message
    }
    return tuple(
        record._replace(status=BROKEN, message=broken[record.kind, record.name])
        if (record.kind, record.name) in broken
        else record
        for record in records
    )


def _print_json(records: Sequence[PluginRecord]) -> None:
    import json

    # A schema that programs rely on: fields may be added, never renamed.
    rows = [
        {
            "kind": record.kind,
            "name": record.name,
            "version": record.version,
            "distribution": record.distribution,
            "status": record.status,
            "summary": record.summary,
            "message": record.message,
            "value": record.value,
        }
        for record in records
    ]
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")


def _print_table(records: Sequence[PluginRecord]) -> None:
    if not records:
        return
    from medscale.registry import one_line

    rows = [
        (
            record.kind,
            one_line(record.name),
            one_line(record.version),
            record.status,
            one_line(record.distribution),
        )
        for record in records
    ]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=False)]
    colour = _has_colour()
    lines = [_line(_HEADER, widths)]
    if colour:
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    for record, row in zip(records, rows, strict=True):
        paint = _paint(record.status) if colour else ""
        lines.append(_line((*row, one_line(record.summary)), widths, paint))
        if record.message:
            lines.append(f"  {paint}{one_line(record.message)}{_PLAIN if paint else ''}")
    sys.stdout.write("\n".join(lines) + "\n")


def _line(cells: Sequence[str], widths: Sequence[int], paint: str = "") -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    if paint:
        padded[_STATUS] = f"{paint}{padded[_STATUS]}{_PLAIN}"
    return "  ".join([*padded, *cells[len(widths) :]]).rstrip()


def _paint(status: str) -> str:
    return {"ok": _GREEN, "missing-dependency": _YELLOW}.get(status, _BOLD + _RED)


def _has_colour() -> bool:
    unwanted = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not unwanted and os.name != "nt"


def _say(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr)  # noqa: T201

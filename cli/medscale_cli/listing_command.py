"""`medscale list` for Typer and its help; apart from `listing`, which must not import Typer."""

from __future__ import annotations

from typing import Annotated

import typer

from medscale_cli import listing


def list_plugins(
    kind: Annotated[
        str, typer.Argument(help="dataset, backbone, augmenter, registrar, recipe or executor")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="import every plugin, each in its own process")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit with 1 if a plugin cannot be used")
    ] = False,
) -> None:
    """Show every installed plugin and whether it can be used."""
    code = listing.show(listing.Request(kind, as_json, check, strict))
    if code:
        raise typer.Exit(code)

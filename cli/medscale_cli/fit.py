"""`medscale fit`: the law of a learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medscale.laws import Fit
    from medscale_cli.curves import Curve


def fit(
    source: Annotated[
        Path,
        typer.Argument(help="Run folder, or a CSV file with columns size and error (or dice)."),
    ],
    column: Annotated[
        str | None,
        typer.Option(
            help="What was measured, such as dice, bce or error; scores, known by their names "
            "(dice, DSC, IoU, AUC and so on), count as 1 − score.",
            show_default="dice of a run; error, or a known score, of a file",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per curve.")] = False,
) -> None:
    """Fit scaling laws to every curve: families and weights, floor, predictions with intervals.

    A file may have columns dataset, task, backbone and arm (one curve for each), split, replicate,
    and case and subject: a row per trial and test case. With test cases, as a run has them,
    intervals are about new patients; without them, about the cases that the trials were tested on.
    A curve that cannot be fitted says why, and the others go on; the exit status is then 1.
    """
    import json as json_module

    from rich.console import Console
    from rich.markup import escape

    from medscale.laws.forecast import format_count, format_estimate
    from medscale_cli.curve_laws import fit_curves
    from medscale_cli.curves import read_curves

    console = Console(highlight=False)
    for curve, law in fit_curves(read_curves(source, column), json=json):
        if json:
            typer.echo(json_module.dumps(_as_json(curve, law)))
            continue
        console.print(f"[bold]{escape(curve.name)}[/bold]", soft_wrap=True)
        for warning in (*curve.warnings, *law.warnings):
            console.print(f"  warning: {escape(warning)}", soft_wrap=True)
        _print_families(console, law)
        slope, low, high = law.slope_at_largest
        place = format_count(law.sizes[-1])
        console.print(f"  slope at n = {place}: {slope:.3g} (90 %: {low:.3g} to {high:.3g})")
        floor, low, high = law.floor
        console.print(f"  floor {floor:.4g} (90 %: {low:.4g} to {high:.4g})")
        limit = format_estimate(law.sizes[-1] * law.trusted_factor, law.sizes)
        console.print(f"  trusted up to n = {limit}")
        console.print(f"  intervals are about {law.scope}\n", soft_wrap=True)


def _print_families(console: Any, law: Fit) -> None:
    from rich.table import Table

    from medscale.laws.forecast import format_count

    table = Table("family", "weight", "parameters, at the largest size")
    for family in law.families:
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in family.parameters.items())
        table.add_row(family.title, f"{family.weight:.2f}", family.failure or numbers)
    console.print(table)
    table = Table("n", "error", "90 % of the mean", "90 % of a run", "observed")
    observed = dict(zip(law.sizes, law.means, strict=True))
    for n in (*law.sizes, *law.next_sizes):
        (low, high), (run_low, run_high) = law.interval(n), law.interval(n, kind="run")
        table.add_row(
            format_count(n),
            f"{law.predict(n):.4g}",
            f"{low:.4g} to {high:.4g}",
            f"{run_low:.4g} to {run_high:.4g}",
            f"{observed[n]:.4g}" if n in observed else "",
        )
    console.print(table)


def _as_json(curve: Curve, law: Fit) -> dict[str, Any]:
    import math

    return {
        "curve": curve.name,
        "column": curve.column,
        "families": [
            {
                "name": family.name,
                "weight": family.weight,
                "parameters": family.parameters,
                "miss": None if math.isnan(family.miss) else family.miss,
                "failure": family.failure,
            }
            for family in law.families
        ],
        "slope_at_largest": _estimate(law.slope_at_largest),
        "floor": _estimate(law.floor),
        "trusted_factor": law.trusted_factor,
        "intervals_about": law.scope,
        "predictions": [
            {"n": float(n), "error": float(law.predict(n))}
            | dict(zip(("low", "high"), map(float, law.interval(n)), strict=True))
            for n in (*law.sizes, *law.next_sizes)
        ],
        "warnings": [*curve.warnings, *law.warnings],
    }


def _estimate(with_ends: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("estimate", "low", "high"), with_ends, strict=True))

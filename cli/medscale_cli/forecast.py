"""`medscale forecast`: how many images a target needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer


def forecast(
    source: Annotated[
        Path,
        typer.Argument(help="Run folder, or a CSV file with columns size and error (or dice)."),
    ],
    target: Annotated[
        str, typer.Option(help="Score or error to reach, such as dice=0.90 or error=0.05.")
    ],
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.9,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per curve.")] = False,
) -> None:
    """Say how many images each curve needs to reach a target, or why nobody can tell yet.

    Sizes worth running next come with what the law expects of them.
    """
    import json as json_module

    from rich.console import Console
    from rich.markup import escape

    from medscale.laws.measure import Measure
    from medscale_cli.curves import SCORES, parse_target, read_curves

    column, error = parse_target(target)
    score = column if column in SCORES else None
    measure = Measure(score)
    console = Console(highlight=False)
    for curve in read_curves(source, column):
        law = curve.law()
        answer = law.required(error, level, score=score)
        low, high = law.interval(law.next_sizes, level)
        following: list[dict[str, Any]] = [
            {"n": n, "error": float(e), "low": float(a), "high": float(b)}
            for n, e, a, b in zip(
                law.next_sizes, law.predict(law.next_sizes), low, high, strict=True
            )
        ]
        if json:
            document = {
                "curve": curve.name,
                "target": target,
                "status": answer.status,
                "n": _finite(answer.n),
                "low": _finite(answer.low),
                "high": _finite(answer.high),
                "sentence": answer.sentence,
                "trusted_factor": law.trusted_factor,
                "intervals_about": law.scope,
                "next_sizes": following,
                "warnings": list(law.warnings),
            }
            typer.echo(json_module.dumps(document))
            continue
        console.print(f"[bold]{escape(curve.name)}[/bold]: {answer.sentence}", soft_wrap=True)
        for warning in law.warnings:
            console.print(f"  warning: {escape(warning)}", soft_wrap=True)
        for size in following:
            ends = measure.between(size["low"], size["high"])
            console.print(f"  n = {size['n']}: {measure.say(size['error'])} ({ends})")
        console.print(f"  intervals are about {law.scope}", soft_wrap=True)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

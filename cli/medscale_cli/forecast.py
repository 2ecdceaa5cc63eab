"""`medscale forecast`: how many images a target needs, and what a number of images gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medscale.laws import Fit
    from medscale.laws.measure import Measure


def forecast(
    source: Annotated[
        Path,
        typer.Argument(help="Run folder, or a CSV file with columns size and error (or dice)."),
    ],
    target: Annotated[
        str | None,
        typer.Option(help="Score or error to reach, such as dice=0.90 or error=0.05."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Numbers of images to say the score or error of: 100,200 or 64..512."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            help="What --at is about where there is no --target, such as dice, bce or error.",
            show_default="dice of a run; error, or a known score, of a file",
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.9,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per curve.")] = False,
) -> None:
    """Say how many images each curve needs to reach a target, or why nobody can tell yet.

    Sizes worth running next come with what the law expects of them. --at asks for the prediction
    at any number of images, with or without a --target; where that is more than the sizes that
    were run can tell of, it says so. A curve that cannot be fitted says why, and the others go on;
    the exit status is then 1.
    """
    import json as json_module

    from rich.console import Console
    from rich.markup import escape

    from medscale.laws.forecast import format_level
    from medscale.laws.measure import Measure
    from medscale_cli.curve_laws import fit_curves
    from medscale_cli.curves import read_curves

    column, error = _asked(target, at, column)
    sizes = () if at is None else _parse_at(at)
    console = Console(highlight=False)
    for curve, law in fit_curves(read_curves(source, column), json=json):
        measure = Measure(curve.column, curve.is_score)
        answer = None if error is None else law.required(error, level, measure=measure)
        warnings = [*curve.warnings, *law.warnings]
        if json:
            document: dict[str, Any] = {"curve": curve.name, "column": curve.column}
            if answer is not None:
                document |= {
                    "target": target,
                    "status": answer.status,
                    "n": _finite(answer.n),
                    "low": _finite(answer.low),
                    "high": _finite(answer.high),
                    "sentence": answer.sentence,
                }
            document |= {
                "trusted_factor": law.trusted_factor,
                "level": level,
                "intervals_about": law.scope,
                "at": _foretold(law, sizes, level),
                "next_sizes": _foretold(law, law.next_sizes, level),
                "warnings": warnings,
            }
            typer.echo(json_module.dumps(document))
            continue
        said = "" if answer is None else f": {answer.sentence}"
        console.print(f"[bold]{escape(curve.name)}[/bold]{said}", soft_wrap=True)
        for warning in warnings:
            console.print(f"  warning: {escape(warning)}", soft_wrap=True)
        following = () if answer is None else law.next_sizes
        for size in _foretold(law, sorted({*sizes, *following}), level):
            console.print(f"  {_line(size, law, measure)}", soft_wrap=True)
        about = f"{format_level(level)} intervals, about {law.scope}"
        console.print(f"  {about}", soft_wrap=True)


def _asked(
    target: str | None, at: str | None, column: str | None
) -> tuple[str | None, float | None]:
    """Return the column that is asked about, and the error to reach where there is a target."""
    from medscale.errors import ConfigError
    from medscale_cli.curves import parse_target

    if target is None:
        if at is None:
            raise ConfigError(
                "forecast got neither --target nor --at, expected one of them: --target dice=0.90 "
                "asks how many images that needs, --at 100,200 what so many images give"
            )
        return column, None
    reached, error = parse_target(target)
    if column not in (None, reached):
        raise ConfigError(
            f"--column got {column!r} beside --target {target}, expected {reached!r}; leave out "
            "--column, or ask about it by --at alone"
        )
    return reached, error


def _parse_at(text: str) -> tuple[float, ...]:
    """Return numbers of images: those that --sizes takes, and fractions, for sizes in shares."""
    from medscale.errors import ConfigError
    from medscale.sizes import parse_sizes

    found: set[float] = set()
    for part in text.split(","):
        try:
            number = float(part)
        except ValueError:
            try:
                found.update(parse_sizes(part))
            except ConfigError as error:
                raise ConfigError(str(error).replace("--sizes", "--at")) from error
            continue
        if not (math.isfinite(number) and number > 0):
            raise ConfigError(f"--at got {part!r}, expected numbers of images above 0")
        found.add(number)
    return tuple(sorted(found))


def _foretold(law: Fit, sizes: Sequence[float], level: float) -> list[dict[str, Any]]:
    """Return what a law expects at each size, and whether it is trusted there."""
    low, high = law.interval(sizes, level)
    # A size that is the limit itself, but for rounding, is not beyond it.
    limit = law.sizes[-1] * law.trusted_factor * (1 + 1e-9)
    least = law.sizes[0] * (1 - 1e-9)
    return [
        {
            "n": int(n) if float(n).is_integer() else n,
            "error": float(error),
            "low": float(lower),
            "high": _finite(float(upper)),
            "trusted": bool(least <= n <= limit),
        }
        for n, error, lower, upper in zip(sizes, law.predict(sizes), low, high, strict=True)
    ]


def _line(size: dict[str, Any], law: Fit, measure: Measure) -> str:
    from medscale.laws.forecast import format_count, format_estimate

    ends = measure.between(size["low"], size["high"])
    line = f"n = {format_count(size['n'])}: {measure.say(size['error'])} ({ends})"
    if size["trusted"]:
        return line
    if size["n"] < law.sizes[0]:
        return f"{line}, below n = {format_count(law.sizes[0])}, the smallest size that was run"
    limit = format_estimate(law.sizes[-1] * law.trusted_factor, law.sizes)
    return f"{line}, beyond what these sizes are trusted for (n = {limit})"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

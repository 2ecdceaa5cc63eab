"""Laws of several curves: one that has none does not take the others with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from medscale.laws import Fit
    from medscale_cli.curves import Curve


def fit_curves(curves: Sequence[Curve], *, json: bool) -> Iterator[tuple[Curve, Fit]]:
    """Yield every curve that can be fitted with its law, and say why where one cannot.

    Args:
        curves: In the order of the answers.
        json: Say so in an object with curve and failure, not in a sentence.

    Raises:
        DataError: If the only curve cannot be fitted.
        typer.Exit: With status 1, after the last curve, if one of several could not be fitted.
    """
    import json as json_module

    from medscale.errors import DataError

    failed = False
    for curve in curves:
        try:
            law = curve.law()
        except DataError as error:
            # What is odd about the rows may well be why they have no law.
            reason = "; ".join((str(error), *curve.warnings))
            if len(curves) == 1:
                raise DataError(reason) from error
            failed = True
            document = {"curve": curve.name, "column": curve.column, "failure": reason}
            said = f"{curve.name}: no law: {reason}"
            typer.echo(json_module.dumps(document) if json else said)
            continue
        yield curve, law
    if failed:
        raise typer.Exit(1)

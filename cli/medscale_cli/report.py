"""`medscale report`: one page that answers what runs were made for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, such as runs/acdc-lv.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the page.", show_default="RUN/report, or report for several"),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Dice that the forecast is asked for, such as dice=0.95.")
    ] = "dice=0.90",
    baseline: Annotated[
        str | None,
        typer.Option(help="Arm to compare with.", show_default="none, or the first"),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Draw samples of the augmentations, from the prepared images.")
    ] = True,
) -> None:
    """Write a page with curves, forecasts and comparisons, and its figures as PNG, SVG and CSV.

    The page is one HTML file that opens from disk and asks no network; it begins with the answer,
    or with one for each task and network.

    [bold]medscale report runs/acdc-lv runs/acdc-myo --out heart[/bold]
    """
    from medscale.data.sets import cache_folder
    from medscale.errors import ConfigError, storing
    from medscale.report.findings import find
    from medscale.report.page import write_report
    from medscale.report.pictures import gallery
    from medscale_cli.curves import parse_target
    from medscale_cli.progress import message_console

    metric, error = parse_target(target)
    if metric != "dice":
        raise ConfigError(f"--target got {target!r}, and the page speaks of Dice: give dice=0.90")
    if out and out.exists() and not out.is_dir():
        raise ConfigError(f"--out got {out}, which is a file; expected a folder, new or old")
    found = find(runs, baseline=baseline)
    galleries = {run.name: gallery(run, cache_folder()) for run in found} if pictures else {}
    folder = out or (runs[0] / "report" if len(found) == 1 else Path("report"))
    with storing(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError) as problem:
            raise ConfigError(
                f"--out got {folder}, where no folder can be made ({problem.strerror}); "
                "choose another place"
            ) from problem
        page, *others = write_report(found, galleries, folder, target=1 - error)
    console = message_console()
    console.print(f"page     {page}", markup=False, soft_wrap=True)
    console.print(f"files    {len(others)} beside it: figures as PNG, SVG and CSV, study files")

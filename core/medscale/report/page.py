"""The page: one HTML file that needs nothing else, and its figures as files beside it."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medscale import __version__, atomic
from medscale.report.answers import cautions, facts, headlines, setting_answers
from medscale.report.chart import Chart, frame
from medscale.report.figures import COLOURS, draw_chart, save
from medscale.report.findings import LEVEL, RunFindings
from medscale.report.page_charts import arm_numbers, charts
from medscale.report.page_tables import cell, heading, movements
from medscale.report.pictures import Gallery
from medscale.report.protocol import Protocol, protocol
from medscale.report.svg import SHAPES, draw
from medscale.report.wording import asked, percent


def write_report(
    runs: Sequence[RunFindings],
    galleries: Mapping[str, Gallery],
    folder: Path,
    *,
    target: float,
) -> list[Path]:
    """Write the page, its figures (PNG, SVG, CSV), and the study files that repeat the runs.

    Args:
        runs: What was found; at least one.
        galleries: Pictures by name of the run.
        folder: Where to.
        target: A Dice coefficient to ask the laws for.

    Returns:
        The files, the page first.
    """
    drawn = charts(runs, target)
    protocols = {run.name: protocol(run) for run in runs}
    page = folder / "report.html"
    atomic.write_text(page, render(runs, drawn, protocols, galleries, target=target))
    written = [page]
    figures = folder / "figures"
    for chart in drawn:
        written += save(draw_chart(chart), figures / chart.name)
        atomic.write_text(figures / f"{chart.name}.csv", chart.table.to_csv(index=False))
        written.append(figures / f"{chart.name}.csv")
    for name, gallery in galleries.items():
        for picture in (*gallery.samples, *gallery.segmentations):
            written.append(figures / f"{name}-{picture.name}.png")
            atomic.write_bytes(written[-1], picture.png)
    for made in protocols.values():
        for request in made.requests:
            written.append(folder / request.file)
            atomic.write_text(written[-1], request.study)
    return written


def render(
    runs: Sequence[RunFindings],
    drawn: Sequence[Chart],
    protocols: Mapping[str, Protocol],
    galleries: Mapping[str, Gallery],
    *,
    target: float,
) -> str:
    """Return the page's HTML. Whatever a name holds comes out as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medscale.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "heading": heading, "movements": movements}
    script = _own("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html.j2").render(
        runs=runs,
        headlines=headlines(runs, target),
        settings=sum(len(run.settings) for run in runs),
        target=asked(target),
        facts=facts(runs),
        cautions=cautions(runs),
        answers=functools.partial(setting_answers, target=target),
        charts=[(chart, _panels(chart)) for chart in drawn],
        arms=arm_numbers(runs),
        shapes=SHAPES,
        colours=COLOURS,
        protocols=protocols,
        galleries=galleries,
        level=percent(LEVEL),
        version=__version__,
        style=Markup(_own("page.css")),
        script=Markup(script),
        script_hash=digest,
    )


def _panels(chart: Chart) -> list[tuple[Any, Markup]]:
    """Return each panel with its drawing; `svg.draw` escapes all text in it."""
    axes = frame(chart)
    return [(panel, Markup(draw(chart, panel, axes))) for panel in chart.panels]


def _own(name: str) -> str:
    """Return a file of this package that the page carries as it is."""
    return (resources.files("medscale.report") / "templates" / name).read_text(encoding="utf-8")

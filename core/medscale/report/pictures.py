"""Pictures for the page: what the arms do to training images, and what networks find."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from medscale.data.cohort import Cohort, open_cohort
from medscale.errors import MedscaleError
from medscale.protocols import PluginContext
from medscale.registry import default_registry
from medscale.report.augmented import changed, sample_rows
from medscale.report.findings import RunFindings, Setting
from medscale.report.samples import contact_sheet
from medscale.report.segmentations import found, segmentation_sheet
from medscale.study.plan import PlannedTrial

_CASES, _DRAWN, _SHOWN = 2, 48, 3
"""Of the samples: training cases, samples drawn of each, and samples shown."""
_WIDEST = 8
"""Of the segmentations: how many sizes stand side by side, the largest ones."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        png: Its bytes.
    """

    name: str
    title: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The pictures of a run.

    Attributes:
        samples: One for each arm that changes images.
        segmentations: One for each task and network, of its best arm.
        missing: Why some are missing, in sentences.
    """

    samples: tuple[Picture, ...] = ()
    segmentations: tuple[Picture, ...] = ()
    missing: tuple[str, ...] = ()


def gallery(run: RunFindings, cache: Path) -> Gallery:
    """Draw what can be drawn of a run where its prepared images are still in the cache."""
    cohort = cached_cohort(cache, run.study["protocol"]["data"])
    if cohort is None:
        return Gallery(
            missing=(
                "The prepared images are not on this machine any more, so there are no pictures: "
                "run the study's command again, then the report.",
            )
        )
    samples, missing = _samples(run, cohort, cache)
    segmentations = tuple(
        picture
        for place, setting in enumerate(run.settings, start=1)
        if (picture := _segmentations(run, setting, cohort, f"segmentations-{place}"))
    )
    if not segmentations:
        missing.append("These trials kept no predictions, so no segmentations can be shown.")
    return Gallery(samples=samples, segmentations=segmentations, missing=tuple(missing))


def _samples(
    run: RunFindings, cohort: Cohort, cache: Path
) -> tuple[tuple[Picture, ...], list[str]]:
    """Show what every arm but the baseline does; return also why one cannot be shown."""
    context = PluginContext(cache=cache)
    pictures, missing = [], []
    for trial in _examples(run):
        try:
            rows = sample_rows(
                trial, cohort, default_registry(), context, cases=_CASES, samples=_DRAWN
            )
        except MedscaleError as error:
            missing.append(f"{trial.arm}: {error}")
            continue
        sheet = contact_sheet("", [changed(row, _SHOWN) for row in rows])
        pictures.append(Picture(name=f"samples-{trial.arm}", title=trial.arm, png=_png(sheet)))
    return tuple(pictures), missing


def _segmentations(run: RunFindings, setting: Setting, cohort: Cohort, name: str) -> Picture | None:
    """Show what the best arm's first replicate found at each size, if its trials kept it."""
    trials = setting.best.trials
    first = trials[(trials["split"] == 0) & (trials["replicate"] == 0)]
    records = [run.store.result(key) for key in first["key"]]
    columns = [(record.spec.size, found(record, cohort)) for record in records if record.examples]
    if not columns:
        return None
    title = f"{setting.title}, with {setting.best.arm}"
    return Picture(name=name, title=title, png=_png(segmentation_sheet(columns[-_WIDEST:])))


def cached_cohort(cache: Path, content: str) -> Cohort | None:
    """Return the prepared cohort of that content, the newest ones looked at first."""
    folders = sorted(
        (cache / "cohorts").glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    for folder in folders:
        try:
            cohort = open_cohort(folder)
        except MedscaleError:
            continue
        if cohort.content == content:
            return cohort
    return None


def _examples(run: RunFindings) -> list[PlannedTrial]:
    """Return, of each arm but the baseline, the smallest trial that trains on enough cases."""
    first = run.plan[0].spec
    examples: dict[str, PlannedTrial] = {}
    for trial in sorted(run.plan, key=lambda trial: trial.spec.size):
        same = (trial.spec.task, trial.spec.split, trial.spec.replicate) == (first.task, 0, 0)
        if same and trial.arm != run.baseline:
            chosen = examples.setdefault(trial.arm, trial)
            if chosen.spec.size < _CASES:
                examples[trial.arm] = trial
    return list(examples.values())


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()

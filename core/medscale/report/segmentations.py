"""What networks found in the worst, the median and the best test case, as n grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medscale.data.cases import Array, Task
from medscale.data.cohort import Cohort
from medscale.report.samples import show_image
from medscale.report.wording import score
from medscale.study.examples import Example, unpacked
from medscale.study.records import TrialRecord

_RANKS = ("worst", "median", "best")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One test case and what was found in it; 2-D, or a plane of a volume.

    Attributes:
        dice: Of the whole case.
        image: (H, W).
        true: (H, W) the annotated mask.
        predicted: (H, W) what the network found.
    """

    dice: float
    image: Array
    true: Array
    predicted: Array


def found(record: TrialRecord, cohort: Cohort) -> dict[str, Found]:
    """Return what a trial kept, by rank, beside the images that it is about."""
    rows = {case.id: row for row, case in enumerate(cohort.cases)}
    task = Task(labels=record.spec.labels)
    return {kept.rank: _found(kept, cohort, task, rows[kept.case]) for kept in record.examples}


def _found(kept: Example, cohort: Cohort, task: Task, row: int) -> Found:
    image, true = cohort.images[row, 0], cohort.target(task, [row])[0]
    if kept.plane is not None:
        image, true = image[..., kept.plane], true[..., kept.plane]
    return Found(dice=kept.dice, image=image, true=true, predicted=unpacked(kept))


def segmentation_sheet(columns: Sequence[tuple[int, dict[str, Found]]]) -> Figure:
    """Draw sizes across and worst, median and best down.

    Annotated outlines are orange, what the network found is blue.

    Args:
        columns: Training images, and what a trial found; in ascending order.
    """
    figure = Figure(figsize=(1.9 * len(columns) + 0.4, 2.1 * len(_RANKS)))
    axes = figure.subplots(len(_RANKS), len(columns), squeeze=False)
    for column, (size, cases) in enumerate(columns):
        for row, rank in enumerate(_RANKS):
            place = axes[row, column]
            place.set_axis_off()
            if rank in cases:
                _show(place, cases[rank])
            if row == 0:
                place.set_title(f"n = {size}", fontsize=9)
            if column == 0:
                place.text(*(-0.08, 0.5, rank), transform=place.transAxes, rotation=90, va="center")
    figure.tight_layout()
    return figure


def _show(axes: Axes, case: Found) -> None:
    show_image(axes, case.image, case.true)
    if case.predicted.any() and not case.predicted.all():
        axes.contour(case.predicted, levels=[0.5], colors="#56B4E9", linewidths=0.9)
    axes.text(
        0.5,
        -0.03,
        f"Dice {score(case.dice)}",
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=8,
    )

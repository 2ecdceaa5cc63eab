"""`medscale preview`: a picture of what an augmenter does, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medscale_cli.study_request import StudyRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from torch import Tensor

    from medscale.data.splits import Split
    from medscale.protocols import Batch
    from medscale.report.deformations import DeformationQuality
    from medscale.report.registration import PairPicture
    from medscale.report.samples import SampleRow
    from medscale.study.plan import PlannedTrial
    from medscale_cli.run import Prepared

_MARGIN = 0.06
_LINE = 0.2
_FOOT = 0.6
"""Inches above a sheet's title, of a further line of it, and of the scale below the maps."""

_MAP_COLOURS = "RdBu_r"
"""Of `medscale.report.samples.show_map`, and of nothing else on a sheet."""


def preview(
    dataset: Annotated[str, typer.Option(help="Data set plugin.")],
    aug: Annotated[str, typer.Option(help="Arms to show, such as red or none,red.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    task: Annotated[str | None, typer.Option(help="Task whose mask is drawn.")] = None,
    shape: Annotated[str | None, typer.Option(help="Pixels per axis.")] = None,
    cases: Annotated[int, typer.Option(min=1, max=20, help="Training cases to show.")] = 3,
    samples: Annotated[int, typer.Option(min=1, max=12, help="Samples of each.")] = 4,
    baseline: Annotated[
        bool, typer.Option(help="Add the baseline's flips, affine and intensity changes.")
    ] = False,
    registration: Annotated[
        bool,
        typer.Option(
            "--registration", help="Show registered pairs of an arm such as reg, not samples."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Root of all randomness.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One option.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("previews"),
) -> None:
    """Draw original and augmented images, deformation grids and Jacobians, one PNG per arm.

    With --registration: moving image, fixed image, moving image carried to the fixed one, their
    differences before and after, and the map; one PNG per arm that registers.

    [bold]medscale preview --dataset phantom --task lv --aug red --set red.prob=1[/bold]
    """
    from medscale.report.figures import save
    from medscale.report.registration import registration_sheet
    from medscale.report.samples import contact_sheet
    from medscale_cli.deformation_quality import deformation_quality
    from medscale_cli.progress import message_console
    from medscale_cli.run import prepare

    console = message_console()
    study = {"dataset": dataset, "aug": aug, "task": task, "shape": shape, "seed": seed}
    request = StudyRequest(
        study={name: value for name, value in study.items() if value is not None}
        | {"sizes": str(cases), "replicates": "1"},
        preset="default",
        file=None,
        settings=tuple(set_ or ()),
        data=data,
        out=None,
        device="cpu",
        jobs=1,
        threads=1,
        executor="serial",
    )
    prepared = prepare(request, console)
    for trial in prepared.study.trials:
        title = f"{dataset} · {trial.spec.task} · {trial.arm}"
        title += _plane_shown(prepared.study.cohort.shape)
        stem = out / f"{dataset}-{trial.spec.task}-{trial.arm}"
        if registration:
            stem = stem.with_name(f"{stem.name}-registration")
            sheet = registration_sheet(title, _pairs(prepared, trial, cases))
        else:
            rows = _rows(
                prepared,
                trial,
                samples,
                with_baseline=baseline,
                log=lambda note: console.print(f"note     {note}", markup=False),
            )
            sheet = contact_sheet(title, rows)
        _explain(sheet, volume=len(prepared.study.cohort.shape) == 3)
        paths = save(sheet, stem)
        console.print(f"picture  {paths[0]}", soft_wrap=True)
        if not registration and (quality := deformation_quality(prepared, trial)):
            _print_quality(trial.arm, quality)


def _plane_shown(shape: tuple[int, ...]) -> str:
    """Return a line for the title that says which plane of volumes is drawn; "" in 2-D."""
    if len(shape) == 2:
        return ""
    return f"\nslice {shape[2] // 2 + 1} of {shape[2]} across the third axis"


def _explain(sheet: Figure, *, volume: bool) -> None:
    """Give a sheet that stands alone room for its title and, where it has maps, their scale."""
    width, height = sheet.get_size_inches()
    images = [image for axes in sheet.axes for image in axes.images]
    maps = [image for image in images if image.get_cmap().name == _MAP_COLOURS]
    foot = _FOOT if maps else 0.0
    height += foot + _LINE * sheet.get_suptitle().count("\n")
    sheet.set_size_inches(width, height)
    # By default the title is 2 % below the top, which in a tall sheet is among the headings.
    sheet.suptitle(sheet.get_suptitle(), y=1 - _MARGIN / height, va="top", fontsize=9)
    sheet.tight_layout(rect=(0, foot / height, 1, 1))
    if not maps:
        return
    bar_width = min(2.4, 0.6 * width) / width
    place = (0.5 - bar_width / 2, (foot - 0.2) / height, bar_width, 0.1 / height)
    low, high = maps[0].get_clim()
    bar = sheet.colorbar(
        maps[0],
        cax=sheet.add_axes(place),
        orientation="horizontal",
        extend="both",
        ticks=[low, 0, high],
    )
    bar.ax.set_xticklabels([f"×{2**low:g}", "same", f"×{2**high:g}"])
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(
        f"map: {'volume' if volume else 'area'} beside the original's; grey: folded", fontsize=7
    )


def _print_quality(arm: str, quality: DeformationQuality) -> None:
    from rich.console import Console
    from rich.table import Table

    from medscale.report.deformations import quality_rows

    table = Table()
    for heading in ("", arm, "registered"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in quality_rows(quality):
        table.add_row(*row)
    Console().print(table)


def _rows(
    prepared: Prepared,
    trial: PlannedTrial,
    samples: int,
    *,
    with_baseline: bool,
    log: Callable[[str], None],
) -> list[SampleRow]:
    """Augment each training case several times."""
    import torch

    from medscale.data.cases import Task
    from medscale.protocols import Batch, PluginContext, SupportsRegistration
    from medscale.registry import default_registry
    from medscale.report.augmented import augmented_row, without_baseline
    from medscale.seeding import torch_generator
    from medscale.study.trial import annotation_order, fitted_augmenters, pool_view
    from medscale_cli.deformation_quality import registered_fields

    spec, cohort = trial.spec, prepared.study.cohort
    split, order = annotation_order(spec, cohort)
    context = PluginContext(device="cpu", cache=prepared.cache, log=log)
    train = _shown(prepared, trial, split, order)
    augmenters = fitted_augmenters(spec, cohort, split, train, default_registry(), context)
    masks = cohort.target(Task(labels=spec.labels), train)
    generator = torch_generator(spec.seed, "preview", trial.arm)
    options = spec.augmentation if with_baseline else without_baseline(spec.augmentation)
    view = pool_view(spec, cohort, split, train)
    rows = []
    for place, row, mask in zip(view.subset, train, masks, strict=True):
        batch = Batch(
            torch.from_numpy(cohort.images[[row]]).expand(samples, -1, *mask.shape),
            torch.from_numpy(mask).float()[None].expand(samples, 1, *mask.shape),
            torch.full((samples,), row),
        )
        title = cohort.cases[row].id
        rows.append(augmented_row(title, batch, augmenters, options, generator))
        for augmenter in augmenters:
            if isinstance(augmenter, SupportsRegistration):
                wanted = augmenter.wanted(view, [place])
                fields = registered_fields(augmenter, view, wanted, 1, samples)
                rows += [_registered_row(batch, field) for field in fields.values()]
    return rows


def _shown(
    prepared: Prepared, trial: PlannedTrial, split: Split, order: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the cohort rows to show: those annotated first, of those that an arm registers."""
    from medscale.protocols import PluginContext, SupportsRegistration
    from medscale.registry import default_registry
    from medscale.study.construction import reconstruct
    from medscale.study.trial import pool_view

    count = trial.spec.size
    view = pool_view(trial.spec, prepared.study.cohort, split, order[:count])
    place = {row: number for number, row in enumerate(split.pool)}
    context = PluginContext(device="cpu", cache=prepared.cache)
    for identity in trial.spec.arm:
        augmenter = reconstruct(default_registry(), "augmenter", identity, context)
        if isinstance(augmenter, SupportsRegistration):
            wanted = augmenter.wanted(view, [place[row] for row in order])
            registered = tuple(row for row in order if wanted.get(place[row]))
            order = registered if len(registered) >= count else order
    return order[:count]


def _registered_row(batch: Batch, field: Tensor) -> SampleRow:
    """Carry an image to those that it is registered to."""
    from medscale.fields.warp import warp
    from medscale.report.augmented import sample_row

    count = len(field)
    carried = batch.replace(
        images=warp(batch.images[:count], field),
        masks=(warp(batch.masks[:count], field) >= 0.5).float(),
    )
    return sample_row("registered", batch, carried, field)


def _pairs(prepared: Prepared, trial: PlannedTrial, cases: int) -> list[PairPicture]:
    """Register each training case to the first of its targets."""
    import torch

    from medscale.data.cases import Task
    from medscale.fields.jacobian import jacobian_determinant
    from medscale.fields.warp import warp
    from medscale.report.augmented import plane
    from medscale.report.registration import PairPicture, carried, in_pose
    from medscale_cli.register import registering

    pictures = []
    for augmenter, view, order in registering(prepared, trial):
        wanted = augmenter.wanted(view, order)
        pairs = [(source, targets[0]) for source, targets in wanted.items() if targets][:cases]
        moving, fixed = (view.take([pair[side] for pair in pairs]) for side in (0, 1))
        rows = view.indices[torch.tensor(pairs)].tolist()
        moving_masks, fixed_masks = (
            torch.from_numpy(
                prepared.study.cohort.target(
                    Task(labels=trial.spec.labels), [row[side] for row in rows]
                )
            )[:, None].float()
            for side in (0, 1)
        )
        registration = augmenter.registration
        fixed_masks = in_pose(registration, moving, fixed, fixed_masks)
        codes, fixed, _ = registration.register(moving, fixed)
        shape = tuple(moving.shape[2:])
        failed = codes.flatten(1).isnan().any(1)
        field = carried(registration.registrar.plugin, codes, failed, shape)
        warped, warped_masks = warp(moving, field), (warp(moving_masks, field) >= 0.5).float()
        planes = [
            plane(pixels, len(shape))
            for pixels in (
                *(part[:, 0] for part in (moving, moving_masks, fixed, fixed_masks)),
                *(part[:, 0] for part in (warped, warped_masks)),
                field[:, :2],
                jacobian_determinant(field),
            )
        ]
        for number, pair in enumerate(pairs):
            part = [pixels[number] for pixels in planes]
            source, target = (view.names[place] for place in pair)
            pictures.append(
                PairPicture(
                    title=f"{source} to {target}" + (" (failed)" if failed[number] else ""),
                    moving=(part[0], part[1]),
                    fixed=(part[2], part[3]),
                    warped=(part[4], part[5]),
                    displacement=part[6],
                    determinant=part[7],
                )
            )
    return pictures

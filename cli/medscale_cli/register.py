"""`medscale register`: fill the field store ahead of the trials, and say how good it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medscale_cli.study_request import StudyRequest

if TYPE_CHECKING:
    from rich.console import Console

    from medscale.protocols import PoolView, SupportsRegistration
    from medscale.study.plan import PlannedTrial
    from medscale_cli.run import Prepared

_JUDGED = 512
"""Most pairs whose labels are carried along for the report; drawn evenly over the sources."""


def register(
    dataset: Annotated[str, typer.Option(help="Data set plugin.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task; its pool is registered, its masks judge.")
    ] = None,
    aug: Annotated[str, typer.Option(help="Arm whose registrations to make.")] = "reg",
    shape: Annotated[str | None, typer.Option(help="Pixels per axis, as for the study.")] = None,
    sources: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images to register, the first that a study annotates.",
            show_default="the whole pool",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Root of all randomness, as for the study.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One option, such as reg.targets_per_source=8."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU where there is one.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")
    ] = None,
    verify: Annotated[
        bool, typer.Option(help="Register nothing: read every byte that is stored and check it.")
    ] = False,
) -> None:
    """Register the images of a study's pool to each other, and report Dice and folds.

    `medscale run` registers what it needs by itself; this does it ahead, and shows whether it is
    any good. Pairs that are stored already are not made again, and several of these commands may
    run at once. Labels only judge: no registration ever sees them.

    [bold]medscale register --dataset phantom --task lv --shape 64 --sources 8[/bold]
    """
    import torch

    from medscale.study.environment import available_cpus
    from medscale_cli.progress import message_console
    from medscale_cli.run import prepare

    console = message_console()
    torch.set_num_threads(threads or available_cpus())
    study = {"dataset": dataset, "aug": aug, "task": task, "shape": shape, "seed": seed}
    request = StudyRequest(
        study={name: value for name, value in study.items() if value is not None}
        | {"sizes": "1", "replicates": "1"},
        preset="default",
        file=None,
        settings=tuple(set_ or ()),
        data=data,
        out=None,
        device=device,
        jobs=1,
        threads=1,
        executor="serial",
    )
    prepared = prepare(request, console)
    for trial in prepared.study.trials:
        for augmenter, view, order in registering(prepared, trial):
            if verify:
                _verify(augmenter, view, console)
                continue
            every = augmenter.wanted(view, order)
            # An arm may register some images of the pool only.
            chosen = [source for source in order if every.get(source)][:sources]
            wanted = {source: every[source] for source in chosen}
            _fill(augmenter, view, wanted, console)
            _report(prepared, trial, augmenter, view, wanted, console)


def registering(
    prepared: Prepared, trial: PlannedTrial
) -> list[tuple[SupportsRegistration, PoolView, list[int]]]:
    """Return the augmenters of an arm that register pairs, with the pool and its order.

    The order is that in which the study's first replicate annotates, as places in the pool.

    Raises:
        ConfigError: If none does.
    """
    from medscale.errors import ConfigError
    from medscale.protocols import PluginContext, SupportsRegistration
    from medscale.registry import default_registry
    from medscale.study.construction import reconstruct
    from medscale.study.trial import annotation_order, pool_view

    spec, cohort = trial.spec, prepared.study.cohort
    context = PluginContext(device=prepared.options.device, cache=prepared.cache)
    augmenters = [
        reconstruct(default_registry(), "augmenter", identity, context) for identity in spec.arm
    ]
    able = [augmenter for augmenter in augmenters if isinstance(augmenter, SupportsRegistration)]
    if not able:
        raise ConfigError(
            f"--aug got {trial.arm}, which registers nothing; give an arm that does, such as reg"
        )
    split, order = annotation_order(spec, cohort)
    # No subset: every image of the pool may be a source, and every other one its target.
    view = pool_view(spec, cohort, split, ())
    place = {row: position for position, row in enumerate(split.pool)}
    return [(augmenter, view, [place[row] for row in order]) for augmenter in able]


def _fill(
    augmenter: SupportsRegistration,
    view: PoolView,
    wanted: Mapping[int, Sequence[int]],
    console: Console,
) -> None:
    from medscale.errors import ConfigError
    from medscale_cli.progress import ProgressView, duration

    pairs = sum(map(len, wanted.values()))
    if not pairs:
        raise ConfigError(
            "nothing can be registered ahead: with targets=subset the targets of an image are "
            "known only once a trial has its subset; `medscale run` registers them"
        )
    console.print(f"pairs    {pairs} of {len(wanted)} images to others, {len(view.indices)} in all")
    begun = time.monotonic()
    with ProgressView("registering", console, kept="the pairs that are registered") as bar:

        def show(done: int, total: int) -> None:
            spent = time.monotonic() - begun
            rate = f"  {done / spent:.1f} pairs/s" if done and spent > 0 else ""
            bar.show(done, total, f"{done}/{total} pairs{rate}")

        made = augmenter.registration.fill(view, wanted, show)
    spent = time.monotonic() - begun
    if made:
        console.print(f"done     {made} pairs in {duration(spent)}, {made / spent:.1f} a second")
    else:
        console.print("done     nothing to do: all of them were stored already")


def _report(
    prepared: Prepared,
    trial: PlannedTrial,
    augmenter: SupportsRegistration,
    view: PoolView,
    wanted: Mapping[int, Sequence[int]],
    console: Console,
) -> None:
    """Print what the store holds and how well labels fit."""
    import numpy as np

    from medscale.data.cases import Task
    from medscale.report.registration import measure_overlap
    from medscale_cli.progress import ProgressView

    registration, cohort = augmenter.registration, prepared.study.cohort
    info = registration.store(view).info()
    every = [(source, target) for source, targets in wanted.items() for target in targets]
    judged = [
        every[i] for i in np.linspace(0, len(every) - 1, min(_JUDGED, len(every))).astype(int)
    ]
    masks = cohort.target(Task(labels=trial.spec.labels), view.indices.tolist())
    with ProgressView("carrying labels", console) as bar:
        overlap = measure_overlap(
            registration, view, judged, masks, lambda d, t: bar.show(d, t, f"{d}/{t} pairs")
        )
    store = registration.store(view)
    quality = _quality(store, view, judged)
    failed = np.isnan(overlap.after)
    gate = getattr(augmenter, "gate", None)
    kept = ~failed if gate is None else ~failed & gate.passes(quality)
    console.print(
        f"store    {store.root}: {info.pairs} pairs of {info.sources} images, "
        f"{info.failed} failed, {info.bytes / 1e6:.1f} MB",
        markup=False,
    )
    console.print(f"judged   {len(judged)} pairs by the masks of {trial.spec.task}, mean Dice")
    _print_table(
        [
            _row("all pairs", overlap, ~failed),
            _row("kept by the gate", overlap, kept),
        ]
    )
    if gate is not None and (reasons := gate.reasons(quality)):
        turned = ", ".join(f"{name} {count}" for name, count in reasons.items() if count)
        console.print(
            f"gate     turned away {int((~kept).sum())} of {len(judged)}: {turned or '-'}"
        )
    jacobian = quality["least_jacobian"]
    console.print(
        f"folds    {np.nansum(overlap.folds > 0):.0f} of {len(judged)} pairs fold anywhere; least "
        f"det ∇φ {np.nanmin(jacobian):.3f}"
    )


def _quality(store: Any, view: PoolView, pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return stored quality numbers of pairs, by name."""
    import numpy as np

    rows = [store.read(view.keys[s], [view.keys[t]]).quality for s, t in pairs]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _row(name: str, overlap: Any, chosen: Any) -> tuple[str, ...]:
    import numpy as np

    def mean(values: Any) -> str:
        return f"{np.nanmean(values[chosen]):.3f}" if chosen.any() else "-"

    return (
        name,
        str(int(chosen.sum())),
        mean(overlap.before),
        mean(overlap.aligned),
        mean(overlap.after),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("", "pairs", "as they lie", "in one pose", "registered"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _verify(augmenter: SupportsRegistration, view: PoolView, console: Console) -> None:
    """Check every stored byte.

    Raises:
        StoreError: If something is damaged.
    """
    from medscale.errors import StoreError

    store = augmenter.registration.store(view)
    damages = store.verify()
    for damage in damages:
        console.print(f"damaged  {damage.path}: {damage.problem}", markup=False)
    if damages:
        raise StoreError(
            f"{len(damages)} parts of {store.root} are not as they were written: delete them, the "
            "same command without --verify makes them anew"
        )
    info = store.info()
    console.print(f"whole    {store.root}: {info.pairs} pairs, every byte as written", markup=False)

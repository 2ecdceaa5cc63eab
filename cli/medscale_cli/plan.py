"""`medscale plan`: what `run` would do, and for how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from medscale_cli.study_request import StudyRequest

if TYPE_CHECKING:
    from medscale.study.plan import PlannedTrial
    from medscale.study.runstore import RunStore
    from medscale_cli.run import Prepared

HELP = """Show what `run` with the same flags would do, without doing it.

Prints the trials, which of them are done, and an estimate of the time, from trials already done
or else from a few training steps timed now, on this machine. Nothing is written but the prepared
data.
"""
_TIMED_STEPS = 3


def plan(request: StudyRequest) -> None:
    """Print the plan of a study."""
    from rich.console import Console
    from rich.table import Table

    from medscale.study.runstore import RunStore
    from medscale_cli.progress import duration, message_console
    from medscale_cli.run import introduce, prepare

    console = message_console()
    prepared = prepare(request, console)
    trials, options = prepared.study.trials, prepared.options
    store = RunStore(options.out)
    store.check(trials, prepared.study.config.prepare)
    introduce(prepared, console)
    done = {trial.spec.key for trial in trials if store.is_done(trial.spec.key)}
    seconds = _seconds_per_image(prepared, store, trials)
    table = Table()
    for column in ("task", "network", "arm", "n", "trials", "done"):
        table.add_column(column, justify="right" if column in ("n", "trials", "done") else "left")
    cells: dict[tuple[str, str, str, int], list[bool]] = {}
    for trial in trials:
        place = (trial.spec.task, trial.backbone, trial.arm, trial.spec.size)
        cells.setdefault(place, []).append(trial.spec.key in done)
    for (task, backbone, arm, size), states in cells.items():
        table.add_row(task, backbone, arm, str(size), str(len(states)), str(sum(states)))
    Console(highlight=False).print(table)
    work = sum(
        trial.spec.images_seen() * seconds[trial.backbone]
        for trial in trials
        if trial.spec.key not in done
    )
    console.print(
        f"{len(trials)} trials, {len(done)} done, {len(trials) - len(done)} to do: about "
        f"{duration(work / options.jobs)} with {options.jobs} at a time"
    )


def _seconds_per_image(
    prepared: Prepared, store: RunStore, trials: tuple[PlannedTrial, ...]
) -> dict[str, float]:
    """Return what one training image costs with each network, validation included."""
    measured: dict[str, list[float]] = {}
    for trial in trials:
        if store.is_done(trial.spec.key):
            record = store.result(trial.spec.key)
            cost = record.timing["training"] / trial.spec.images_seen()
            measured.setdefault(trial.backbone, []).append(cost)
    return {
        name: sum(measured[name]) / len(measured[name])
        if name in measured
        else _time(prepared, name)
        for name in dict.fromkeys(trial.backbone for trial in trials)
    }


def _time(prepared: Prepared, backbone: str) -> float:
    """Time a few steps of a network, and add what validating costs per image."""
    import torch

    from medscale.protocols import PluginContext, SupportsOtherMachines
    from medscale.registry import default_registry
    from medscale.study.construction import reconstruct
    from medscale.study.environment import find_device
    from medscale.training.budgets import make_schedule
    from medscale.training.losses import loss

    study, options = prepared.study, prepared.options
    trial = next(trial for trial in study.trials if trial.backbone == backbone)
    plugin = reconstruct(default_registry(), "backbone", trial.spec.backbone, PluginContext())
    network = plugin.build(
        in_channels=study.cohort.channels, out_channels=1, spatial_shape=study.cohort.shape
    )
    # Other machines' devices may not be here.
    device = "auto" if isinstance(prepared.executor, SupportsOtherMachines) else options.device
    device = find_device(device)
    network = network.to(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    training = trial.spec.training
    images = torch.rand(
        training.batch_size, study.cohort.channels, *study.cohort.shape, device=device
    )
    seconds = []
    for _ in range(_TIMED_STEPS):
        started = time.perf_counter()
        value = loss(network(images), (images[:, :1] > 0.5).float(), training)
        value.backward()  # type: ignore[no-untyped-call]
        float(value.detach())
        seconds.append((time.perf_counter() - started) / training.batch_size)
    torch.set_num_threads(threads)
    step = sorted(seconds)[_TIMED_STEPS // 2]
    validated = min(study.config.split.max_validation or 10**9, len(study.cohort.cases) // 6)
    schedule = make_schedule(training, trial.spec.size)
    # Validating an image costs about a third of training on it: no backward pass.
    return step * (1 + validated * len(schedule.validate_at) / 3 / trial.spec.images_seen())

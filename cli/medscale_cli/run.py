"""`medscale run`: a study from one command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medscale.errors import MedscaleError
from medscale_cli.study_request import StudyRequest, study_config

if TYPE_CHECKING:
    from rich.console import Console

    from medscale.protocols import Executor
    from medscale.study.config import RunOptions
    from medscale.study.resolve import Study
    from medscale.study.runner import RunResult
    from medscale.study.runstore import RunStore

HELP = """Train on 1, 2, 4, … images with each augmentation, and draw the learning curve.

Every trial that is done stays done: the same command again goes on where it was, and a wider grid
(more sizes, arms, replicates) runs only what is new. Exit status: 0 done, 2 some trials failed,
130 interrupted (143 by SIGTERM, 129 by SIGHUP).

[bold]medscale run --dataset phantom --task lv --aug none,red --sizes 1..16 --shape 64[/bold]
"""

_LONGEST_MESSAGE = 300


class TrialsFailedError(MedscaleError):
    """The sweep is through, but some of its trials have no result."""

    exit_code = 2


@dataclass(frozen=True)
class Prepared:
    """A request, resolved."""

    study: Study
    options: RunOptions
    executor: Executor
    cache: Path


def run(request: StudyRequest) -> None:
    """Run a study and show what came out."""
    from medscale.study.runner import run_study
    from medscale.study.runstore import RunStore
    from medscale_cli.progress import ProgressView, TrialsView, message_console

    console = message_console()
    prepared = prepare(request, console)
    study, options = prepared.study, prepared.options
    store = RunStore(options.out)
    store.check(study.trials, study.config.prepare)
    introduce(prepared, console)
    with ProgressView("trials", console) as view:
        try:
            result = run_study(study, options, prepared.executor, prepared.cache, TrialsView(view))
        except KeyboardInterrupt:
            done = sum(store.is_done(trial.spec.key) for trial in study.trials)
            console.print(
                f"interrupted: {done} of {len(study.trials)} trials are done and kept; the same "
                "command goes on from there"
            )
            raise
    finish(store, result, console)


def prepare(request: StudyRequest, console: Console) -> Prepared:
    """Resolve a request; the first of its faults is raised in one sentence."""
    from medscale.data.sets import cache_folder, dataset_folder
    from medscale.protocols import PluginContext
    from medscale.registry import default_registry
    from medscale.study.config import RunOptions
    from medscale.study.construction import construct
    from medscale.study.contract import refuse_breach
    from medscale.study.resolve import resolve
    from medscale_cli.progress import ProgressView

    config = study_config(request)
    registry = default_registry()
    plugin = registry.load("executor", request.executor)
    settings = config.plugins.get(request.executor, {})
    executor, _ = construct(plugin, settings, request.executor, PluginContext())
    refuse_breach(plugin, executor)
    device, jobs = _device_and_jobs(request, executor)
    data = dataset_folder(config.dataset, request.data)
    cache = cache_folder()
    kept = "the cases that are prepared"
    with ProgressView("preparing the data", console, kept=kept) as view:
        study = resolve(
            config,
            registry,
            data=data,
            cache=cache,
            progress=lambda done, total: view.show(done, total, f"{done}/{total} cases"),
            log=lambda message: console.print(f"note     {message}", markup=False),
            elsewhere=(request.executor,),
        )
    options = RunOptions(
        out=request.out or default_folder(study),
        data=data,
        device=device,
        jobs=min(jobs, len(study.trials)),
        threads=request.threads,
        executor=request.executor,
    )
    return Prepared(study, options, executor, cache)


def default_folder(study: Study) -> Path:
    """Return runs/<dataset>-<tasks>."""
    tasks = dict.fromkeys(trial.spec.task for trial in study.trials)
    return Path("runs") / "-".join([study.config.dataset, *tasks])


def _device_and_jobs(request: StudyRequest, executor: Executor) -> tuple[str, int]:
    """Return the device, and how many trials may run at a time."""
    from medscale.errors import ConfigError
    from medscale.protocols import SupportsOtherMachines
    from medscale.study.environment import available_cpus, check_device, find_device

    if isinstance(executor, SupportsOtherMachines):
        check_device(request.device)
        if request.jobs is None:
            raise ConfigError(
                f"--executor {request.executor} runs trials on other machines "
                f"({executor.machines}) and got no --jobs: say how many at a time, --jobs 8"
            )
        return request.device, request.jobs
    device = find_device(request.device)
    # One job per GPU, or as many as the CPU cores carry.
    carried = 1 if device.startswith("cuda") else max(1, available_cpus() // request.threads)
    return device, request.jobs or carried


def introduce(prepared: Prepared, console: Console) -> None:
    """Say what is about to run."""
    from medscale.protocols import SupportsOtherMachines
    from medscale.sizes import format_sizes

    study, options, executor = prepared.study, prepared.options, prepared.executor
    config, first = study.config, study.trials[0].spec
    networks = [f"{name} ({count / 1e6:.2f} M)" for name, count in study.parameters.items()]
    tasks = ", ".join(dict.fromkeys(trial.spec.task for trial in study.trials))
    replicates = ", ".join(
        f"{count}" if start == 1 else f"{count} from n = {start}"
        for start, count in config.replicates
    )
    people = len({case.subject for case in study.cohort.cases})
    shape = "×".join(map(str, study.cohort.shape))
    train = first.training
    console.print(
        f"study    {config.dataset}: {tasks}; arms {', '.join(a.label for a in config.arms)}"
    )
    console.print(f"network  {', '.join(networks)}")
    console.print(f"data     {len(study.cohort.cases)} cases of {people} subjects at {shape}")
    for task, (test, validation, pool) in study.sides.items():
        console.print(f"         {task}: {test} for the test, {validation} validation, {pool} pool")
    console.print(f"sizes    {format_sizes(config.sizes)}; replicates {replicates}")
    console.print(
        f"budget   {train.amount} {train.budget}, batches of {train.batch_size}; checkpoint by "
        f"{train.selection}"
    )
    for note in study.notes:
        console.print(f"note     {note}", markup=False)
    machines = options.device
    if isinstance(executor, SupportsOtherMachines):
        machines = f"{executor.machines} (device {options.device})"
    console.print(
        f"run      {len(study.trials)} trials, {options.jobs} at a time on {machines}, "
        f"in {options.out}",
        markup=False,
    )


def finish(store: RunStore, result: RunResult, console: Console) -> None:
    """Write tables and figures, show them, and say how the run ended.

    Raises:
        TrialsFailedError: If some trials have no result.
    """
    from medscale_cli.results import derived_is_current, write_derived
    from medscale_cli.summary import show_results

    if result.already == result.planned:
        console.print(f"nothing to do: all {result.planned} trials were done already")
    if not derived_is_current(store):
        write_derived(store)
    if result.already + result.finished:
        show_results(store)
        figure, table = store.folder / "curve.png", store.folder / "results.csv"
        console.print(f"figure   {figure}  (and .svg)", markup=False)
        console.print(f"tables   {table}, cases.csv  (and .parquet)", markup=False)
    if result.failures:
        first = result.failures[0]
        raise TrialsFailedError(
            f"{len(result.failures)} of {result.planned} trials failed; the first: "
            f"{first.type}: {_one_line(first.message)} (`medscale status {store.folder}` shows "
            "all; the same command tries them again)"
        )


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]} …"

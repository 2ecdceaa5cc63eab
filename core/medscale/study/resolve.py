"""Resolving a study: plugins loaded, options validated, data prepared and checked, trials planned.

Every fault that can be found before the first training is found here, and nothing is written but
the cohort cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medscale.config import merge
from medscale.data.cases import Task
from medscale.data.cohort import Cohort
from medscale.data.prepare import Progress, describe_case, prepared_cohort
from medscale.data.splits import make_split
from medscale.errors import ConfigError, DataError, did_you_mean
from medscale.protocols import PluginContext
from medscale.registry import Plugin, Registry
from medscale.study.config import StudyConfig
from medscale.study.construction import construct, try_network
from medscale.study.contract import refuse_breach
from medscale.study.plan import PlannedTrial, PluginIdentity, build_plan


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study that is ready to run.

    Attributes:
        config: As asked for, with defaults.
        cohort: Prepared data.
        cohort_folder: Where workers read it.
        trials: The plan.
        sides: Cases for test, validation and pool of the first split, by task.
        pools: Images in the pool of each split, by task.
        notes: What the user should know, in sentences.
        parameters: Number of network parameters by backbone.
        versions: Version of each plugin's distribution, by kind and name.
    """

    config: StudyConfig
    cohort: Cohort
    cohort_folder: Path
    trials: tuple[PlannedTrial, ...]
    sides: dict[str, tuple[int, int, int]]
    pools: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]
    parameters: dict[str, int]
    versions: dict[str, str]


def resolve(
    config: StudyConfig,
    registry: Registry,
    *,
    data: Path | None,
    cache: Path,
    progress: Progress,
    log: Callable[[str], None],
    elsewhere: Collection[str] = (),
) -> Study:
    """Turn a configuration into a study.

    Args:
        config: What the user asked for.
        registry: Installed plugins.
        data: Folder of the data set, or None.
        cache: Folder of caches.
        progress: Told of prepared cases.
        log: Takes messages of plugins.
        elsewhere: Plugins whose options are read elsewhere, such as the executor.

    Raises:
        MedscaleError: One sentence about the first fault.
    """
    context = PluginContext(data=data, cache=cache, log=log)
    loader = _Loader(config, registry, context)
    dataset, dataset_identity = loader.construct("dataset", config.dataset)
    source = loader.plugins["dataset", config.dataset]
    known = known_tasks(source, dataset)
    tasks = choose_tasks(config, known)
    recipe = loader.construct("recipe", config.recipe)[1]
    arms = {
        arm.label: tuple(
            loader.construct("augmenter", name, *_aliases(arm.label, name))[1]
            for name in arm.augmenters
        )
        for arm in config.arms
    }
    backbones = {name: loader.construct("backbone", name) for name in config.backbones}
    refuse_equal_arms(arms)
    loader.refuse_unused_options(elsewhere)

    identity = dataset_identity.model_dump(mode="json")
    cohort, folder = prepared_cohort(
        dataset,
        identity=identity,
        options=config.prepare,
        cache=cache,
        progress=progress,
        owner=source.title,
    )
    parameters = {
        name: try_network(loader.plugins["backbone", name], backbone, cohort.channels, cohort.shape)
        for name, (backbone, _) in backbones.items()
    }
    notes = _describe_duplicates(cohort)
    if not config.tasks and len(known) > 1:
        others = ", ".join(name for name in known if name not in tasks)
        notes.append(f"--task was not given: {', '.join(tasks)} it is (there are {others}, too)")
    sides: dict[str, list[tuple[int, int, int]]] = {}
    for name, task in tasks.items():
        rows, left_out = task_rows(cohort, name, task, dataset_identity)
        if left_out:
            notes.append(f"{left_out} of {len(cohort.cases)} cases show no {name} and are left out")
        sides[name] = check_sizes(config, cohort, name, rows)
    template = {
        "dataset": dataset_identity,
        "data": cohort.content,
        "recipe": recipe,
        "seed": config.seed,
        "split_options": config.split,
        "training": config.train,
        "augmentation": config.augmentation,
    }
    trials = build_plan(
        template,
        tasks={name: task.labels for name, task in tasks.items()},
        arms=arms,
        backbones={name: identity for name, (_, identity) in backbones.items()},
        sizes=config.sizes,
        replicates={size: config.replicates_at(size) for size in config.sizes},
        splits=config.splits,
    )
    return Study(
        config=config,
        cohort=cohort,
        cohort_folder=folder,
        trials=trials,
        sides={name: of_splits[0] for name, of_splits in sides.items()},
        pools={name: tuple(pool for _, _, pool in of_splits) for name, of_splits in sides.items()},
        notes=tuple(notes),
        parameters=parameters,
        versions={f"{kind} {name}": used.version for (kind, name), used in loader.plugins.items()},
    )


def known_tasks(plugin: Plugin, dataset: Any) -> dict[str, Task]:
    """Return the tasks of a data set.

    Raises:
        PluginError: If it cannot tell them.
    """
    with plugin.doing("tasks"):
        tasks = dict(dataset.tasks)
        for name, task in tasks.items():
            if not isinstance(task, Task):
                raise TypeError(f"task {name!r} is a {type(task).__name__}, expected a Task")
        if not tasks:
            raise ValueError("there are none, expected one at least")
    return tasks


def choose_tasks(config: StudyConfig, known: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks asked for; without any, the data set's only one or its main one.

    Raises:
        ConfigError: If one is unknown, or none is named where there are several and none is main.
    """
    if not config.tasks:
        main = known if len(known) == 1 else {name: t for name, t in known.items() if t.main}
        if len(main) == 1:
            return dict(main)
        raise ConfigError(
            f"--task is missing: data set {config.dataset} has the tasks {', '.join(known)}"
        )
    for name in config.tasks:
        if name not in known:
            raise ConfigError(
                f"data set {config.dataset} has no task {name!r}: {did_you_mean(name, known)}"
            )
    return {name: known[name] for name in config.tasks}


def refuse_equal_arms(arms: Mapping[str, tuple[PluginIdentity, ...]]) -> None:
    """Refuse two labels for one thing: their trials would be the same ones.

    Raises:
        ConfigError: Says which labels.
    """
    labels: dict[tuple[str, ...], str] = {}
    for label, augmenters in arms.items():
        meaning = tuple(plugin.model_dump_json() for plugin in augmenters)
        first = labels.setdefault(meaning, label)
        if first != label:
            raise ConfigError(
                f"--aug got {first} and {label}, which are the same, options included: leave one "
                f"out, or give {label} options of its own (--set {label}.OPTION=VALUE)"
            )


def task_rows(
    cohort: Cohort, name: str, task: Task, dataset: PluginIdentity
) -> tuple[list[int], int]:
    """Return the rows whose target has foreground, and how many were left out.

    Args:
        cohort: The prepared cases.
        name: The task's.
        task: What is foreground.
        dataset: Its option `may_be_absent`, where it has one, is the way out of the error.

    Raises:
        DataError: If no case has foreground, or one lacks it where that is not normal.
    """
    target = cohort.target(task)
    present = np.asarray(target.reshape(len(target), -1).any(axis=1))
    if not present.any():
        raise DataError(
            f"no case has any foreground of task {name!r} (labels {list(task.labels)}); "
            "check the masks and the labels"
        )
    if not task.may_be_absent and not present.all():
        case = cohort.cases[int((~present).argmax())]
        way_out = "mend its mask or remove the case"
        if "may_be_absent" in dataset.options:
            way_out = (
                "mend its mask, or leave out all such cases "
                f"(--set {dataset.name}.may_be_absent=true)"
            )
        raise DataError(
            f"{describe_case(case)} has no foreground of task {name!r} at the study's shape "
            f"{cohort.shape}; {way_out}"
        )
    return [row for row, there in enumerate(present) if there], int((~present).sum())


def check_sizes(
    config: StudyConfig, cohort: Cohort, name: str, rows: list[int]
) -> list[tuple[int, int, int]]:
    """Refuse sizes that some split's pool cannot serve.

    Returns:
        Cases for test, validation and pool of each split.

    Raises:
        ConfigError: Says how many images there are.
    """
    sides: list[tuple[int, int, int]] = []
    for index in range(config.splits):
        split = make_split(
            cohort,
            rows,
            config.split,
            seed=config.seed,
            dataset=config.dataset,
            index=index,
        )
        sides.append((len(split.test), len(split.validation), len(split.pool)))
        too_large = [size for size in config.sizes if size > len(split.pool)]
        if too_large:
            raise ConfigError(
                f"--sizes asks for {', '.join(map(str, too_large))} training images, but the pool "
                f"of task {name} holds {len(split.pool)} ({len(split.test)} cases are for the "
                f"test and {len(split.validation)} for validation): give sizes up to "
                f"{len(split.pool)}"
            )
    return sides


class _Loader:
    """Constructs plugins with their options and remembers which options were used."""

    def __init__(self, config: StudyConfig, registry: Registry, context: PluginContext) -> None:
        self._options = config.plugins
        self._registry = registry
        self._context = context
        self._used: set[str] = set()
        self.plugins: dict[tuple[str, str], Plugin] = {}

    def construct(self, kind: str, name: str, *owners: str) -> tuple[Any, PluginIdentity]:
        """Construct a plugin; options of later owners win over those of its own name."""
        plugin = self._registry.load(kind, name)
        options: dict[str, Any] = {}
        owner = name
        for owner in (name, *owners):
            options = merge(options, self._options.get(owner, {}))
            self._used.add(owner)
        self.plugins[kind, name] = plugin
        instance, identity = construct(plugin, options, owner, self._context, self._construct_used)
        refuse_breach(plugin, instance)
        return instance, identity

    def _construct_used(self, option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
        """Construct a plugin that an option names, with the options under its own name."""
        return self.construct(kind, name)

    def refuse_unused_options(self, elsewhere: Collection[str]) -> None:
        """Raise for options of something that is not part of the study."""
        for owner in self._options:
            if owner not in self._used and owner not in elsewhere:
                from medscale.study.groups import OPTION_GROUPS

                known = self._used | set(OPTION_GROUPS) | set(elsewhere)
                raise ConfigError(
                    f"--set {owner}.… belongs to nothing in this study: "
                    f"{did_you_mean(owner, known)}"
                )


def _aliases(label: str, name: str) -> tuple[str, ...]:
    return () if label == name or "+" in label else (label,)


def _describe_duplicates(cohort: Cohort) -> list[str]:
    groups = cohort.duplicates()
    if not groups:
        return []
    subject_of = {case.id: case.subject for case in cohort.cases}
    pairs = sorted({tuple(sorted({subject_of[case] for case in group})) for group in groups})
    shown = "; ".join(" and ".join(pair) for pair in pairs[:5])
    more = f"; and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    return [
        f"{len(groups)} image{'s stand' if len(groups) > 1 else ' stands'} under several subjects, "
        f"the same to the bit ({shown}{more}): these subjects are kept on one side of every split"
    ]

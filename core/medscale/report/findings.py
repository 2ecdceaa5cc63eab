"""What runs found, as values for the page: trials by setting, their laws, the arms compared."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medscale.errors import ConfigError, MedscaleError, StoreError, did_you_mean
from medscale.laws import Fit, fit_cases
from medscale.laws.comparison import Comparison, compare, usual_baseline
from medscale.report.tables import case_table, trial_table
from medscale.study.plan import PlannedTrial
from medscale.study.records import FailureRecord
from medscale.study.runstore import RunStore

LEVEL = 0.95
"""Of every interval on the page."""
_SETTING = ["dataset", "task", "backbone"]


@dataclass(frozen=True, kw_only=True)
class ArmFinding:
    """One learning curve.

    Attributes:
        arm: Its label.
        trials: Its rows of the trial table, with a column `error`, 1 − Dice.
        law: Fitted to the errors; None where that cannot be done.
        trouble: Why there is no law, or "".
    """

    arm: str
    trials: pd.DataFrame
    law: Fit | None
    trouble: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A task and a network of a run, with every arm that was trained.

    Attributes:
        title: As the page calls it; unlike that of any other setting on the page.
        dataset: Data set.
        task: Task.
        backbone: Network.
        arms: In the order in which they were asked for.
    """

    title: str
    dataset: str
    task: str
    backbone: str
    arms: tuple[ArmFinding, ...]

    @property
    def best(self) -> ArmFinding:
        """The arm with the least mean error at the largest size that it was trained at."""
        return min(
            self.arms,
            key=lambda arm: arm.trials.loc[
                arm.trials["size"] == arm.trials["size"].max(), "error"
            ].mean(),
        )


@dataclass(frozen=True, kw_only=True)
class RunFindings:
    """All that the page says about one run folder.

    Attributes:
        name: What the page calls it; unlike that of any other run on the page.
        store: The run folder.
        study: Its study.json.
        plan: Every planned trial.
        trials: A row per finished trial; at least one.
        cases: A row per finished trial and test case.
        failures: Trials that ended with an error, and the error.
        settings: By task and network.
        baseline: The arm that the others are compared with.
        comparison: Of the arms; None where there is nothing to compare.
        trouble: Why there is no comparison, or "".
    """

    name: str
    store: RunStore
    study: dict[str, Any]
    plan: tuple[PlannedTrial, ...]
    trials: pd.DataFrame
    cases: pd.DataFrame
    failures: tuple[tuple[PlannedTrial, FailureRecord], ...]
    settings: tuple[Setting, ...]
    baseline: str
    comparison: Comparison | None
    trouble: str


def find(folders: Sequence[Path], *, baseline: str | None) -> tuple[RunFindings, ...]:
    """Read runs, fit a law to each of their curves and compare their arms.

    Args:
        folders: Run folders; one that is given twice counts once.
        baseline: The arm to compare with; None for `none` where there is one, else the first.

    Raises:
        StoreError: If a folder is no run folder, or none of its trials is done.
        ConfigError: If no run has that baseline.
    """
    folders = list(dict.fromkeys(folder.resolve() for folder in folders))
    tables = [_trials(RunStore(folder)) for folder in folders]
    arms = {arm for table in tables for arm in table["arm"]}
    if baseline is not None and baseline not in arms:
        raise ConfigError(f"no arm is called {baseline!r}: {did_you_mean(baseline, arms)}")
    places = pd.concat([table[_SETTING].drop_duplicates() for table in tables])
    # Only what stands in several runs needs to say in which it does.
    ambiguous = {tuple(place) for place in places[places.duplicated()].to_numpy().tolist()}
    return tuple(
        _findings(RunStore(folder), name, table, ambiguous, baseline)
        for folder, name, table in zip(folders, _names(folders), tables, strict=True)
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a short name for each folder: its own, with its parents' where two are alike."""
    depth, parts = 1, [folder.parts[1:] for folder in folders]
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["-".join(part[-depth:]) for part in parts]


def _trials(store: RunStore) -> pd.DataFrame:
    store.study()
    trials = trial_table(store)
    if trials.empty:
        raise StoreError(
            f"no trial of {store.folder} is done yet: `medscale status {store.folder}` shows how "
            "far it is"
        )
    return trials.assign(error=1 - trials["dice"].astype(float))


def _findings(
    store: RunStore,
    name: str,
    trials: pd.DataFrame,
    ambiguous: Collection[tuple[str, ...]],
    baseline: str | None,
) -> RunFindings:
    plan, cases = tuple(store.plan()), case_table(store)
    arms = list(dict.fromkeys(trials["arm"]))
    reference = baseline or usual_baseline(arms)
    comparison, trouble = _compared(trials, cases, arms, reference)
    failures = [(trial, store.failure(trial.spec.key)) for trial in plan]
    return RunFindings(
        name=name,
        store=store,
        study=store.study(),
        plan=plan,
        trials=trials,
        cases=cases,
        failures=tuple((trial, record) for trial, record in failures if record is not None),
        settings=_settings(trials, cases, name, ambiguous, store.pool_sizes()),
        baseline=reference,
        comparison=comparison,
        trouble=trouble,
    )


def _settings(
    trials: pd.DataFrame,
    cases: pd.DataFrame,
    run: str,
    ambiguous: Collection[tuple[str, ...]],
    pools: Mapping[str, int],
) -> tuple[Setting, ...]:
    settings = []
    by_curve = dict(list(cases.groupby([*_SETTING, "arm"], sort=False)))
    for place, rows in trials.groupby(_SETTING, sort=False):
        dataset, task, backbone = names = tuple(map(str, place))
        settings.append(
            Setting(
                title=" · ".join((run, *names) if names in ambiguous else names),
                dataset=dataset,
                task=task,
                backbone=backbone,
                arms=tuple(
                    _arm(str(arm), part, by_curve[(*place, arm)], pools.get(task, math.inf))
                    for arm, part in rows.groupby("arm", sort=False)
                ),
            )
        )
    return tuple(settings)


def _arm(arm: str, trials: pd.DataFrame, cases: pd.DataFrame, available: float) -> ArmFinding:
    law, trouble = None, ""
    try:
        errors = cases.assign(error=1 - cases["dice"])
        law = fit_cases(errors, largest=1.0, available=available)
    except MedscaleError as error:
        trouble = str(error)
    return ArmFinding(arm=arm, trials=trials, law=law, trouble=trouble)


def _compared(
    trials: pd.DataFrame, cases: pd.DataFrame, arms: Sequence[str], baseline: str
) -> tuple[Comparison | None, str]:
    if len(arms) < 2:
        return None, f"There is one arm, {arms[0]}: nothing to compare it with."
    try:
        return compare(trials, cases, baseline=baseline, level=LEVEL), ""
    except MedscaleError as error:
        return None, str(error)

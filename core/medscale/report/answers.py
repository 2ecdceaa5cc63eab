"""What a page says first: the answers, in sentences that need no statistics to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medscale.laws import Fit, Required
from medscale.laws.forecast import format_count
from medscale.laws.sentences import saving
from medscale.report.findings import LEVEL, ArmFinding, RunFindings, Setting
from medscale.report.notes import plugin_notes
from medscale.report.wording import asked, count, counted, interval, percent, score

_ENOUGH = 5
"""Trainings at each size, of each arm."""


@dataclass(frozen=True, kw_only=True)
class SettingAnswer:
    """One line of the table of answers.

    Attributes:
        setting: Task and network.
        best: The arm with the least error at the largest size.
        dice: Its mean Dice there.
        size: That size.
        need: What the target needs with it.
        saving: What is shown of what images are worth with one arm or another, or "".
    """

    setting: Setting
    best: str
    dice: str
    size: int
    need: str
    saving: str


def headline(runs: Sequence[RunFindings], target: float) -> tuple[str, str]:
    """Return the answer in one sentence, and a second one where the forecast needs more words.

    It is of the first run's first task and network: what is shown of what images are worth, and how
    many of them the target needs with the best arm.

    Args:
        runs: What was found; at least one.
        target: A Dice coefficient.
    """
    run, setting = runs[0], runs[0].settings[0]
    prefix = f"{setting.title}: " if sum(len(run.settings) for run in runs) > 1 else ""
    worth, need = saved(run, setting), needed(setting.best, target)
    if worth and need.known:
        return f"{prefix}{worth.rstrip('.')}; with {setting.best.arm}, {need.clause}.", ""
    sentence = f"{need.clause[0].upper()}{need.clause[1:]}."
    return (f"{prefix}{worth}", sentence) if worth else (f"{prefix}{sentence}", "")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a target needs.

    Attributes:
        clause: In words.
        known: Whether that is a number of images.
    """

    clause: str
    known: bool


def needed(finding: ArmFinding, target: float) -> Need:
    """Return how many images a Dice coefficient needs with an arm."""
    goal, law = f"Dice {asked(target)}", finding.law
    if law is None:
        clause = f"these trials do not tell how many images {goal} needs"
        return Need(clause=clause, known=False)
    required = law.required(1 - target, LEVEL)
    if required.status == "unreachable":
        level = 1 - law.floor[0]
        # Rounded it must not seem to reach the goal.
        near = score(level) if float(score(level)) < target else f"{level:.4f}"
        clause = f"{goal} is out of reach: with more images it levels off near Dice {near}"
        if law.floor[1] <= 1 - target:
            clause += ", if it levels off at all"
    elif required.status == "not_identified":
        # Beyond what the law is trusted for, the lower end of its interval says nothing.
        low = min(required.low, law.sizes[-1] * law.trusted_factor)
        least = f", but more than {format_count(math.floor(low))}" if low > law.sizes[-1] else ""
        clause = f"these sizes do not tell how many images {goal} needs{least}{_advice(law)}"
    else:
        return Need(clause=f"{goal} {_number(required, law)}", known=True)
    return Need(clause=clause, known=False)


def _number(required: Required, law: Fit) -> str:
    first = float(law.sizes[0])
    ends = interval(required.low, required.high, count)
    if math.isinf(required.high):
        ends = f" ({count(required.low)} or more, perhaps never)"
    if required.n > first:
        return f"needs about {counted(count(required.n), 'image')}{ends}"
    # Where nothing was run below, an interval that begins and ends there says no more.
    ends = ends if required.high > first else ""
    return f"is reached with n = {counted(format_count(first), 'image')} already{ends}"


def _advice(law: Fit) -> str:
    sizes = " and ".join(map(format_count, law.next_sizes))
    more = f"trials with n = {sizes}" if sizes else "annotations beyond those there are"
    return f"; {more} would say more"


def setting_answers(run: RunFindings, target: float) -> tuple[SettingAnswer, ...]:
    """Return one line for each task and network of a run."""
    answers = []
    for setting in run.settings:
        best = setting.best
        size = int(best.trials["size"].max())
        error = best.trials.loc[best.trials["size"] == size, "error"].mean()
        answers.append(
            SettingAnswer(
                setting=setting,
                best=best.arm,
                dice=score(1 - float(error)),
                size=size,
                need=needed(best, target).clause,
                saving=saved(run, setting),
            )
        )
    return tuple(answers)


def saved(run: RunFindings, setting: Setting) -> str:
    """Return what is shown of what annotated images are worth, as a sentence, or ""."""
    if run.comparison is None:
        return ""
    overall, efficiency = (
        table[(table["task"] == setting.task) & (table["backbone"] == setting.backbone)]
        for table in (run.comparison.overall, run.comparison.efficiency)
    )
    if efficiency.empty:
        return ""
    return saving(overall=overall, efficiency=efficiency, baseline=run.baseline)


def cautions(runs: Sequence[RunFindings]) -> tuple[str, ...]:
    """Return what a reader has to know before trusting the answers, each sentence once."""
    said: dict[str, list[str]] = {}
    for run in runs:
        for sentence in _cautions(run):
            said.setdefault(sentence, []).append(run.name)
    return tuple(
        sentence if len(names) == len(runs) else f"{', '.join(names)}: {sentence}"
        for sentence, names in said.items()
    )


def _cautions(run: RunFindings) -> Iterator[str]:
    done, planned = len(run.trials), len(run.plan)
    if done < planned:
        failed = f", {len(run.failures)} of them failed" if run.failures else ""
        have = "has" if planned - done == 1 else "have"
        yield f"{planned - done} of {planned} planned trainings {have} no result{failed}."
    points = run.trials.groupby(["task", "backbone", "arm", "size"], sort=False).size()
    least, most = int(points.min()), int(points.max())
    if least < _ENOUGH:
        which = "Some points rest" if most > least else "Each point rests"
        yield (
            f"{which} on {counted(str(least), 'training')}: with {_ENOUGH} or more, "
            "differences between augmentations can be told from chance."
        )
    empty = int((run.trials["predicted"] == 0).sum())
    if empty:
        yield (
            f"{empty} of {done} trained networks found nothing at all in any test image; such a "
            "network counts with its error, and is marked with a cross."
        )
    if run.trials["split"].nunique() == 1:
        yield (
            "All trainings on a data set share one set of test images: nothing here says how "
            "images of other hospitals would fare."
        )
    if run.trouble:
        yield run.trouble
    yield from plugin_notes(run.store)


def facts(runs: Sequence[RunFindings]) -> str:
    """Return one sentence for each run on what the answers rest on."""
    return " ".join(_facts(run) for run in runs)


def _facts(run: RunFindings) -> str:
    sizes = sorted(set(run.trials["size"]))
    span = f"{sizes[0]} to " if len(sizes) > 1 else ""
    tests = run.cases[["case", "subject"]].drop_duplicates()
    laws = [arm.law for setting in run.settings for arm in setting.arms if arm.law]
    level = f"{percent(LEVEL)} intervals"
    about = f" The {level} of its forecasts are about {laws[0].scope}." if laws else ""
    return (
        f"{run.name}: {counted(str(len(run.trials)), 'training')} on "
        f"{span}{counted(str(sizes[-1]), 'annotated image')}, tested on "
        f"{counted(str(len(tests)), 'image')} of "
        f"{counted(str(tests['subject'].nunique()), 'subject')}.{about}"
    )

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

_AT_A_GLANCE = 6
"""Answers that are read in a minute; each has some 20 to 40 words."""


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


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What the page says first of one task and network.

    Attributes:
        setting: Task and network.
        answer: What is shown of what images are worth, and how many of them the target needs with
            the best arm.
        forecast: The latter apart, where it needs a sentence of its own, or "".
    """

    setting: Setting
    answer: str
    forecast: str


def headlines(runs: Sequence[RunFindings], target: float) -> tuple[Headline, ...]:
    """Return the answer for each task and network of each run, as many as can be read in a minute.

    Where there are several, what to do about a forecast that cannot be told is left to the table.

    Args:
        runs: What was found; at least one.
        target: A Dice coefficient.
    """
    settings = [(place, run, setting) for run in runs for place, setting in enumerate(run.settings)]
    # Runs take turns, so that one with many tasks leaves room for the others.
    first = sorted(range(len(settings)), key=lambda number: settings[number][0])[:_AT_A_GLANCE]
    return tuple(
        _headline(*settings[number][1:], target, alone=len(settings) == 1)
        for number in sorted(first)
    )


def _headline(run: RunFindings, setting: Setting, target: float, *, alone: bool) -> Headline:
    worth, need = saved(run, setting), needed(setting.best, target)
    if worth and need.known:
        answer = f"{worth.rstrip('.')}; with {setting.best.arm}, {need.clause}."
        return Headline(setting=setting, answer=answer, forecast="")
    said = need.clause if alone else need.finding
    sentence = f"{said[0].upper()}{said[1:]}."
    return Headline(setting=setting, answer=worth or sentence, forecast=sentence if worth else "")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a target needs.

    Attributes:
        finding: In words.
        known: Whether that is a number of images.
        advice: What would tell more, or "".
    """

    finding: str
    known: bool
    advice: str = ""

    @property
    def clause(self) -> str:
        """All of it."""
        return f"{self.finding}; {self.advice}" if self.advice else self.finding


def needed(finding: ArmFinding, target: float) -> Need:
    """Return how many images a Dice coefficient needs with an arm."""
    goal, law = f"Dice {asked(target)}", finding.law
    if law is None:
        return Need(finding=f"these trials do not tell how many images {goal} needs", known=False)
    required = law.required(1 - target, LEVEL)
    if required.status == "unreachable":
        level = 1 - law.floor[0]
        # Rounded it must not seem to reach the goal.
        near = score(level) if float(score(level)) < target else f"{level:.4f}"
        said = f"{goal} is out of reach: with more images it levels off near Dice {near}"
        if law.floor[1] <= 1 - target:
            said += ", if it levels off at all"
        return Need(finding=said, known=False)
    if required.status == "not_identified":
        # Beyond what the law is trusted for, the lower end of its interval says nothing.
        low = min(required.low, law.sizes[-1] * law.trusted_factor)
        least = f", but more than {format_count(math.floor(low))}" if low > law.sizes[-1] else ""
        said = f"these sizes do not tell how many images {goal} needs{least}"
        return Need(finding=said, known=False, advice=_advice(law))
    return Need(finding=f"{goal} {_number(required, law)}", known=True)


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
    return f"{more} would say more"


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

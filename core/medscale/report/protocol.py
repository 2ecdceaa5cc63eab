"""How a run was made, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from medscale.report.findings import RunFindings
from medscale.report.wording import counted, percent
from medscale.sizes import format_sizes


@dataclass(frozen=True, kw_only=True)
class Request:
    """One way in which a run was asked for.

    Attributes:
        when: UTC.
        file: Name of its study file.
        study: The study file, TOML.
        command: What runs it again.
    """

    when: str
    file: str
    study: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What the page says about how a run was made.

    Attributes:
        rows: (what, how), in plain words.
        options: (name, value) of everything that is part of the trials' identity.
        notes: What was noted when the run was started.
        versions: (what, version) of software and device.
        requests: Each different study that the folder grew by.
    """

    rows: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    requests: tuple[Request, ...]


def protocol(run: RunFindings) -> Protocol:
    """Describe a run."""
    asked = run.study["requests"]
    return Protocol(
        rows=tuple(_rows(run)),
        options=tuple(_leaves(run.study["protocol"])),
        notes=tuple(dict.fromkeys(note for entry in asked for note in entry.get("notes", ()))),
        versions=tuple(_versions(asked)),
        requests=tuple(_requests(run.name, asked)),
    )


def _rows(run: RunFindings) -> Iterator[tuple[str, str]]:
    shared, labels = run.study["protocol"], run.study["labels"]
    yield "Data set", _plugin(shared["dataset"])
    for task, values in labels["task"].items():
        yield f"Task {task}", f"label {', '.join(map(str, values))} against everything else"
    sides = shared["split_options"]
    yield (
        "Division",
        f"by subject: {percent(sides['test'])} for the test, {percent(sides['validation'])} for "
        f"validation (at most {sides['max_validation']} images), the rest is the pool to annotate "
        "from",
    )
    for task, rows in run.cases.groupby("task", sort=False):
        tests = rows[["case", "subject"]].drop_duplicates()
        images = counted(str(len(tests)), "image")
        yield f"Test {task!s}", f"{images} of {counted(str(tests['subject'].nunique()), 'subject')}"
    specs = [trial.spec for trial in run.plan]
    yield "Training images", f"n = {format_sizes(tuple(sorted({spec.size for spec in specs})))}"
    replicates = {spec.replicate for spec in specs}
    splits = {spec.split for spec in specs}
    yield (
        "Repetitions",
        f"up to {len(replicates)} at each n, each with images of its own; "
        f"{counted(str(len(splits)), 'division')} into test and pool; every arm gets the same "
        "images, initial weights and order",
    )
    for label, plugins in labels["arm"].items():
        yield f"Arm {label}", " + ".join(_plugin(plugin) for plugin in plugins)
    parameters = run.study["requests"][-1].get("parameters", {})
    for label, plugin in labels["backbone"].items():
        size = f"; {parameters[label]:,} parameters" if label in parameters else ""
        yield f"Network {label}", _plugin(plugin) + size
    training = shared["training"]
    yield (
        "Training",
        f"{training['amount']} {training['budget']}, batches of {training['batch_size']}, learning "
        f"rate {training['learning_rate']:g}, loss {training['loss']}; the checkpoint is chosen by "
        f"validation {training['selection']}, and the test scored once, at the end",
    )
    failed = f", {len(run.failures)} failed" if run.failures else ""
    yield "Trials", f"{len(run.trials)} of {len(run.plan)} done{failed}"


def _plugin(identity: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in _leaves(identity["options"]))
    used = "; ".join(f"{name}: {_plugin(plugin)}" for name, plugin in identity["uses"].items())
    details = "; ".join(filter(None, (options, used)))
    return f"{identity['name']} ({details})" if details else str(identity["name"])


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, value) of every leaf of a JSON value."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)


def _versions(requests: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    last = requests[-1]
    for group in ("environment", "plugins", "git"):
        for name, value in last.get(group, {}).items():
            text = {True: "yes", False: "no"}.get(value, str(value))
            yield f"git {name}" if group == "git" else name.replace("_", " "), text


def _requests(run: str, asked: list[dict[str, Any]]) -> Iterator[Request]:
    # A run that was stopped and taken up again was asked for with the same study.
    different: dict[str, dict[str, Any]] = {}
    for entry in asked:
        if "study" in entry:
            different.setdefault(tomli_w.dumps(_without_none(entry["study"])), entry)
    for place, (text, entry) in enumerate(different.items(), start=1):
        file = f"{run}-study-{place}.toml" if len(different) > 1 else f"{run}-study.toml"
        options = entry["run"]
        data = " --data DIR" if options.get("data") else ""
        command = f"medscale run --config {shlex.quote(file)}{data} --device {options['device']}"
        yield Request(when=entry["when"], file=file, study=text, command=command)


def _without_none(value: Any) -> Any:
    """Return JSON without nulls, which TOML lacks: an option that is absent has its default."""
    if isinstance(value, Mapping):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_none(part) for part in value]
    return value

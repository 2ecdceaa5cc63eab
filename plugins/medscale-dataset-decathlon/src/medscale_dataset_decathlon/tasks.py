"""Tasks from the label names of a `dataset.json`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from medscale.data.cases import Task

UNION = "foreground"


def task_name(text: str, value: int) -> str:
    """Turn a label's name into what a user can type: `[a-z][a-z0-9_]*`.

    Args:
        text: The name as written, such as "non-enhancing tumor".
        value: The label, for names without a letter to start with.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    if not name:
        return f"label_{value}"
    return name if name[0].isalpha() else f"label_{name}"


def make_tasks(labels: Mapping[int, str], dims: int) -> dict[str, Task]:
    """Return one task per label, and `foreground`, the union of all.

    A slice may lack anything. A whole volume may lack one of several structures, such as a
    lesion, but never all of them.

    Args:
        labels: Name as written, by value, without background.
        dims: 2 for slices, 3 for volumes.
    """
    names = {value: task_name(text, value) for value, text in sorted(labels.items())}
    several = len(labels) > 1
    tasks: dict[str, Task] = {}
    for value, name in names.items():
        # A name that is not unique gets its value, which is.
        taken = list(names.values()).count(name) > 1 or (several and name == UNION)
        unique = f"{name}_{value}" if taken else name
        while unique in tasks or (taken and unique in names.values()):
            unique = f"{unique}_{value}"
        tasks[unique] = Task(
            labels=(value,), may_be_absent=dims == 2 or several, description=labels[value]
        )
    if UNION not in tasks:
        tasks[UNION] = Task(
            labels=tuple(names),
            may_be_absent=dims == 2,
            main=True,
            description="every label together",
        )
    return tasks

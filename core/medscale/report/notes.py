"""What plugins said while trials ran, each thing once."""

from __future__ import annotations

from medscale.report.tables import finished
from medscale.study.runstore import RunStore


def plugin_notes(store: RunStore) -> tuple[str, ...]:
    """Return one sentence for each arm whose plugins said something: the first, and how many more.

    Args:
        store: A run folder.
    """
    said: dict[str, list[tuple[int, str]]] = {}
    for trial, record in finished(store):
        said.setdefault(trial.arm, []).extend((trial.spec.size, note) for note in record.notes)
    sentences = []
    for arm, notes in said.items():
        if notes:
            (size, first), more = notes[0], len(notes) - 1
            also = f" (and {more} more of arm {arm})" if more else ""
            sentences.append(f"arm {arm}, n = {size}: {first}{also}")
    return tuple(sentences)

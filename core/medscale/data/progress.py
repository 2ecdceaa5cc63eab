"""How long work on data reports how far it is, without knowing who watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far one task is.

    Attributes:
        task: What is being done, for people: "downloading Task04_Hippocampus.tar".
        done: How much of it is done, in `unit`.
        total: How much there is in all; None where nobody knows.
        unit: What is counted.
    """

    task: str
    done: int
    total: int | None = None
    unit: Literal["bytes", "cases"] = "bytes"


Progress = Callable[[Step], None]
"""Takes each step as it comes; called often, so it has to be cheap."""


def silent(step: Step) -> None:
    """Show nothing."""


def in_words(size: int) -> str:
    """Return a number of bytes for people, in decimal units: "1.5 GB"."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{size} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"

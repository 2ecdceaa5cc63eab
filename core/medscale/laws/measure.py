"""Errors in words: a law is about errors, people often think in scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

_NAMES = {"dice": "Dice", "iou": "IoU", "f1": "F1"} | {
    name: name.upper() for name in ("dsc", "nsd", "auc", "auroc")
}


@dataclass(frozen=True)
class Measure:
    """What an answer is given in.

    Attributes:
        score: Name of a score, of which the error is what is missing to 1; None for the error.
    """

    score: str | None = None

    @property
    def name(self) -> str:
        """What stands before a number."""
        return "error" if self.score is None else _NAMES.get(self.score, self.score)

    def say(self, error: float) -> str:
        """Return an error, or its score, with its name."""
        return f"{self.name} {self._number(error)}"

    def between(self, low: float, high: float) -> str:
        """Return an interval of errors, or of their scores; the smaller number first."""
        ends = (low, high) if self.score is None else (high, low)
        return " to ".join(map(self._number, ends))

    def _number(self, error: float) -> str:
        if self.score is None:
            return f"{error:.3g}" if math.isfinite(error) else "∞"
        places = 3 if error > 1e-3 else 6
        return f"{max(0.0, 1 - error):.{places}f}".rstrip("0").rstrip(".")

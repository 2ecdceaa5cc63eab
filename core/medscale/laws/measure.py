"""Errors in words: a law is about errors, people ask by the name of a metric, often a score."""

from __future__ import annotations

import math
from dataclasses import dataclass

_NAMES = {"dice": "Dice", "iou": "IoU", "f1": "F1"} | {
    name: name.upper() for name in ("bce", "dsc", "hd95", "nsd", "auc", "auroc")
}


@dataclass(frozen=True)
class Measure:
    """What an answer is given in.

    Attributes:
        metric: Its name, as it was asked for: "dice", "bce".
        is_score: Whether more is better, and the error what is missing to 1.
    """

    metric: str = "error"
    is_score: bool = False

    @property
    def name(self) -> str:
        """What stands before a number."""
        return _NAMES.get(self.metric, self.metric)

    def say(self, error: float) -> str:
        """Return an error, or the score that it is, with its name."""
        return f"{self.name} {self._number(error)}"

    def between(self, low: float, high: float) -> str:
        """Return an interval of errors, or of their scores; the smaller number first."""
        ends = (high, low) if self.is_score else (low, high)
        return " to ".join(map(self._number, ends))

    def _number(self, error: float) -> str:
        if not self.is_score:
            return f"{error:.3g}" if math.isfinite(error) else "∞"
        places = 3 if error > 1e-3 else 6
        return f"{max(0.0, 1 - error):.{places}f}".rstrip("0").rstrip(".")

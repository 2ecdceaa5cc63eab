"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable


def number(value: float) -> str:
    """Return a score or an error with three significant digits, never as a power of ten."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def score(value: float) -> str:
    """Return a Dice coefficient with two digits, and with more where two would say 1."""
    return f"{value:.2f}" if value < 0.995 or value == 1 else f"{value:.4f}"


def asked(value: float) -> str:
    """Return a Dice coefficient that was asked for: all of its digits, and at least two."""
    whole, digits = f"{value:.15f}".rstrip("0").split(".")
    return f"{whole}.{digits:0<2}"


def count(value: float) -> str:
    """Return an estimated number of images: whole, and of two significant digits from 100 on.

    Sizes that were run, or asked for, are no estimates: `medscale.laws.forecast.format_count`.
    """
    if not math.isfinite(value):
        return number(value)
    step = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 1)
    return f"{max(1, round(value / step) * step):,}".replace(",", "\u202f")


def percent(share: float, digits: int = 0) -> str:
    """Return a share in per cent, on one line with its sign."""
    return f"{100 * share:.{digits}f}\u202f%"


def counted(number: str, noun: str) -> str:
    """Return "1 image", or "2 images"."""
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def interval(low: float, high: float, form: Callable[[float], str] = number) -> str:
    """Return " (low–high)", or nothing where there is no interval; 0 and ∞ are open ends."""
    if math.isnan(low) or math.isnan(high) or (low == 0 and math.isinf(high)):
        return ""
    if low == 0:
        return f" (less than {form(high)})"
    return f" (more than {form(low)})" if math.isinf(high) else f" ({form(low)}–{form(high)})"

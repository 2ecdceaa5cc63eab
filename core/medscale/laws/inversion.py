"""Where a rising curve that is known with an error crosses zero, with an interval (Fieller's way).

The interval is made of the places at which the curve is not told apart from zero. So it is open
where the data do not bound it, instead of merely wide.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

_TIE = 1e-9
"""Values this near zero are zero: sums in another order differ by less."""


class Crossing(NamedTuple):
    """A place at which a curve crosses zero.

    Attributes:
        place: Of the crossing, or the end of the curve nearest to it.
        low: Lower end of the interval; −∞ where open, NaN where no margin is known.
        high: Upper end; ∞ where open.
        bound: "" for a crossing; ">=" or "<=" where it lies beyond the curve.
    """

    place: float
    low: float
    high: float
    bound: Literal["", ">=", "<="]


def crossing(
    places: np.ndarray, values: np.ndarray, margin: np.ndarray, preferred: float
) -> Crossing:
    """Find where a curve crosses zero.

    Args:
        places: (X,) ascending.
        values: (X,) the curve, ascending.
        margin: (X,) half width of its pointwise interval; NaN where not known.
        preferred: Of several places where the curve is zero, the one nearest to this is taken.
    """
    bound: Literal["", ">=", "<="] = ""
    if values[-1] < -_TIE:
        place, bound = float(places[-1]), ">="
    elif values[0] > _TIE:
        place, bound = float(places[0]), "<="
    else:
        first, last = _first(places, values + _TIE), _last(places, values - _TIE)
        place = min(max(preferred, first), last)
    known = ~np.isnan(margin)
    if not known.any():
        return Crossing(place, np.nan, np.nan, bound)
    # As the curve rises, what is told apart at the last place known is so beyond it.
    places, values, margin = places[known], values[known], margin[known]
    inside = np.abs(values) <= margin + _TIE
    if not inside.any() and values[0] * values[-1] > 0:
        # Beyond all places where a margin is known.
        low, high = (places[-1], np.inf) if values[-1] < 0 else (-np.inf, places[0])
        return Crossing(place, float(low), float(high), bound)
    low, high = -np.inf, np.inf
    if not inside[0] and bound != "<=":
        low = _first(places, values + margin + _TIE)
    if not inside[-1] and bound != ">=":
        high = _last(places, values - margin - _TIE)
    return Crossing(place, low, high, bound)


def _first(places: np.ndarray, values: np.ndarray) -> float:
    """Return the first place at which values are zero or above, between the points given."""
    index = int(np.argmax(values >= 0))
    if index == 0:
        return float(places[0])
    share = values[index - 1] / (values[index - 1] - values[index])
    return float(places[index - 1] + share * (places[index] - places[index - 1]))


def _last(places: np.ndarray, values: np.ndarray) -> float:
    """Return the last place at which values are zero or below."""
    return -_first(-places[::-1], -values[::-1])

"""How many annotations a target needs, how far a law is trusted, and what to run next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from medscale.laws.families import Array
from medscale.laws.measure import Measure

_HORIZON = 1000.0
"""Beyond this multiple of the largest size nothing is looked for."""

_STEPS = 600
_TRUSTED_HALF_WIDTH = math.log(1.25)
_FARTHEST = 64.0
"""A law is trusted while its 90 % interval is within ± 25 %, and never beyond this multiple."""

SURE_OF_REACHING = 0.75
"""Level of the interval whose upper end must reach a target, however late, to give a number."""

Curve = Callable[[Array], tuple[Array, Array, Array]]
"""Sizes → predicted mean error, lower end, upper end of its interval."""


@dataclass(frozen=True, kw_only=True)
class Required:
    """Training-set size at which the mean error reaches a target.

    Attributes:
        target: The error asked for.
        status: "reached" within the sizes that were run; "reachable" beyond them; "unreachable":
            even the lower end of the curve's interval, or of the floor's, stays above it;
            "not_identified": beyond what the law is trusted for, or too likely below the floor.
        n: Estimate; NaN where the status gives none.
        low: Lower end of the interval; NaN where the status gives none.
        high: Upper end; infinite where it may never be reached.
        sentence: The answer in words.
    """

    target: float
    status: Literal["reached", "reachable", "unreachable", "not_identified"]
    n: float
    low: float
    high: float
    sentence: str


def required(
    target: float,
    curve: Curve,
    cautious: Curve,
    *,
    sizes: Array,
    floor: tuple[float, float, float],
    trusted_factor: float,
    advice: str,
    level: float,
    measure: Measure,
) -> Required:
    """Say at which size a curve reaches a target.

    Args:
        target: Mean error to reach.
        curve: The law.
        cautious: The law with the interval at `SURE_OF_REACHING`, these test cases being given.
        sizes: Sizes that were run, ascending (K,).
        floor: Estimate and interval.
        trusted_factor: Up to which multiple of the largest size a number is given.
        advice: What to do where sizes do not tell, as an imperative.
        level: Of the interval.
        measure: What the sentence is about.
    """
    largest = float(sizes[-1])
    grid = np.geomspace(sizes[0], largest * _HORIZON, _STEPS)
    middle, lower, upper = (_crossing(grid, line, target) for line in curve(grid))
    surely = np.isfinite(_crossing(grid, cautious(grid)[2], target))
    percent = f"{format_level(level)} interval"
    goal = measure.say(target)
    count = partial(format_estimate, sizes=sizes)
    if math.isinf(lower) or target < floor[1]:
        ends = f" ({measure.between(*floor[1:])})"
        if target >= floor[1]:
            ends += f", and even its interval does not get there by n = {count(grid[-1])}"
        return Required(
            target=target,
            status="unreachable",
            n=math.nan,
            low=math.nan,
            high=math.nan,
            sentence=f"{goal} is unreachable by more images alone: the law levels off at "
            f"{measure.say(floor[0])}{ends}",
        )
    trusted = largest * trusted_factor
    if middle > trusted or not surely:
        doubt = f"trusted up to n = {count(trusted)}"
        if middle <= trusted:
            doubt = "it may lie beyond the floor"
        # Beyond trust a number has no interval, and so no more than two digits.
        near = "" if math.isinf(middle) else f", perhaps near n = {count(float(f'{middle:.2g}'))}"
        return Required(
            target=target,
            status="not_identified",
            n=math.nan,
            low=lower,
            high=math.inf,
            sentence=f"not identified by these sizes: {goal} lies beyond what "
            f"n = {count(sizes[0])} to {count(largest)} tell ({doubt}){near}; {advice}",
        )
    interval = f"{count(lower)} to {count(upper)}"
    if math.isinf(upper):
        interval = f"{count(lower)} or more, perhaps never; {advice}"
    sentence = f"{goal} needs about n = {count(middle)}"
    if middle <= grid[0]:
        first = count(grid[0])
        sentence = f"{goal} is reached at n = {first} already, the smallest size that was run"
    # Where nothing was run below, an interval that begins and ends there says no more.
    if upper > grid[0]:
        sentence += f" ({percent}: {interval})"
    return Required(
        target=target,
        status="reached" if middle <= largest else "reachable",
        n=middle,
        low=lower,
        high=upper,
        sentence=sentence,
    )


def trusted_factor(curve: Curve, sizes: Array) -> float:
    """Return up to which multiple of the largest size a law's 90 % interval is within ± 25 %.

    Never more than the sizes span themselves.
    """
    factors = np.geomspace(1, min(_FARTHEST, float(sizes[-1] / sizes[0])), 100)
    _, lower, upper = curve(sizes[-1] * factors)
    wide = np.flatnonzero(np.log(upper / lower) / 2 > _TRUSTED_HALF_WIDTH)
    return float(factors[max(wide[0] - 1, 0)] if len(wide) else factors[-1])


def next_sizes(sizes: Array, available: float = math.inf) -> tuple[float, ...]:
    """Return the next two sizes worth running: on, in the steps of the last sizes.

    What lies beyond the largest size is told by the largest sizes, so the next steps up teach
    most; steps are at most doublings, so that the law is asked for no more than it can answer.
    They are whole where the sizes are; others, such as shares of a whole, get three digits.

    Args:
        sizes: That were run, ascending (K,).
        available: Largest size that can be run; a step beyond it ends there.
    """
    largest = sizes[-1]
    step = float(np.clip(np.median(sizes[1:] / sizes[:-1]), math.sqrt(2), 2))
    following = [float(largest * step**power) for power in (1, 2)]
    if _whole(sizes):
        following = [math.ceil(size) for size in following]
    else:
        following = [float(f"{size:.3g}") for size in following]
    within = dict.fromkeys(min(size, available) for size in following)
    return tuple(size for size in within if size > largest)


def advise(following: tuple[float, ...], available: float) -> str:
    """Return what to do where sizes do not tell, as an imperative.

    Args:
        following: Sizes to run next; none where all that are available were run.
        available: Largest size that can be run.
    """
    if following:
        return f"add n = {' or '.join(map(format_count, following))}"
    return f"annotate more images than the {format_count(available)} there are for training"


def _crossing(grid: Array, line: Array, target: float) -> float:
    """Return where a line first lies at or below a target, in the logarithm of both; or inf."""
    below = np.flatnonzero(line <= target)
    if not len(below):
        return math.inf
    place = int(below[0])
    if place == 0:
        return float(grid[0])
    x, y = np.log(grid[place - 1 : place + 1]), np.log(line[place - 1 : place + 1])
    return float(np.exp(np.interp(-math.log(target), -y, x)))


def format_count(n: float) -> str:
    """Return a number of images in words; sizes may be shares of a whole, such as 0.05."""
    whole = 10 <= n < 1e6 or (float(n).is_integer() and n < 1e6)
    return f"{n:.0f}" if whole else f"{n:.3g}"


def format_level(level: float) -> str:
    """Return the level of an interval in words, with all its digits: 97.5 %."""
    return f"{100 * level:.10g} %"


def format_estimate(n: float, sizes: Array) -> str:
    """Return an estimated number of images in words: a whole one where the sizes are whole.

    Args:
        n: Number of images.
        sizes: Sizes that were run (K,).
    """
    return format_count(float(np.rint(n)) if _whole(sizes) else n)


def _whole(sizes: Array) -> bool:
    return bool((sizes == np.rint(sizes)).all())

"""What n images with an arm are worth without it."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.laws import Fit
from medscale.laws.crossed import LogMeans
from medscale.laws.efficiency import Multiplier, common_multiplier, multipliers
from medscale.laws.pairing import PairedErrors

SIZES = np.array([1, 2, 4, 8, 16])


class PowerLaw:
    """Stands in for a fit: 0.5 · n^−½, known to so many per cent."""

    trusted_factor = 4.0

    def __init__(self, uncertainty: float = 0.0) -> None:
        self.uncertainty = uncertainty

    def predict(self, n: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * n**-0.5)

    def interval(self, n: np.ndarray, level: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
        margin = self.uncertainty * np.log(n)
        return self.predict(n) * np.exp(-margin), self.predict(n) * np.exp(margin)


def curves(baseline: np.ndarray, arm: np.ndarray, trials: int = 4, luck: float = 0.1) -> LogMeans:
    """Return curves of these mean errors, with luck that the arms share."""
    shared = luck * np.linspace(-1, 1, trials)[:, None]
    own = 0.1 * luck * np.cos(np.arange(2 * len(SIZES) * trials).reshape(2, -1, trials, 1))
    errors = np.stack([baseline, arm])[..., None, None] * (1 + shared + own)
    return LogMeans.of(PairedErrors(SIZES, errors, np.ones((len(SIZES), trials, 1))))


def power(factor: float = 1.0) -> np.ndarray:
    return np.asarray(0.5 * (factor * SIZES) ** -0.5)


def law(uncertainty: float = 0.0) -> Fit:
    return cast("Fit", PowerLaw(uncertainty))


def worth(factor: float, of: Fit | None = None, luck: float = 0.1) -> list[Multiplier]:
    return multipliers(curves(power(), power(factor), luck=luck), SIZES, of, 0.95)


@given(st.floats(1.05, 15.5))
def test_between_sizes_the_curve_is_joined_on_logarithmic_axes(factor: float) -> None:
    first = worth(factor, luck=0.0)[0]
    assert first.multiplier == pytest.approx(factor, rel=1e-3)
    assert (first.bound, first.extrapolated) == ("", False)


def test_beyond_the_sizes_the_law_goes_on() -> None:
    last = worth(3, law())[-1]
    assert last.multiplier == pytest.approx(3, rel=0.05)
    assert (last.bound, last.extrapolated) == ("", True)
    without = worth(3)[-1]
    assert (without.multiplier, without.bound, without.high) == (1, ">=", math.inf)


def test_beyond_what_the_law_is_trusted_with_there_is_a_bound() -> None:
    last = worth(10, law())[-1]
    assert last.multiplier == pytest.approx(4)
    assert (last.bound, last.high) == (">=", math.inf)


def test_a_law_that_is_known_less_well_gives_wider_intervals() -> None:
    sure, unsure = worth(2, law())[-1], worth(2, law(0.1))[-1]
    assert unsure.high / unsure.low > 1.5 * sure.high / sure.low
    assert unsure.multiplier == sure.multiplier


def test_a_curve_that_rises_is_made_monotone() -> None:
    bumpy = power()
    bumpy[2] = 1.2 * bumpy[1]
    same = multipliers(curves(bumpy, bumpy, luck=0.0), SIZES, None, 0.95)
    assert [one.multiplier for one in same] == pytest.approx([1] * 5)
    found = multipliers(curves(power(), bumpy), SIZES, None, 0.95)
    worths = [one.size * one.multiplier for one in found]
    assert worths == sorted(worths)


def test_a_baseline_that_learns_nothing_bounds_nothing() -> None:
    found = multipliers(curves(np.full(5, 0.5), np.full(5, 0.5)), SIZES, None, 0.95)
    assert all((one.low, one.high) == (0, math.inf) for one in found)


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7, 3.0])
def test_all_sizes_have_a_multiplier_in_common(factor: float) -> None:
    found = common_multiplier(curves(power(), power(factor)), SIZES, 0.95)
    assert found.place == pytest.approx(math.log(factor), abs=0.05)
    assert found.low < math.log(factor) < found.high
    assert found.bound == ""


def test_one_size_bounds_a_common_multiplier() -> None:
    errors = np.array([0.2, 0.1])[:, None, None, None] * np.array([0.9, 1, 1.1])[:, None]
    single = LogMeans.of(PairedErrors(np.array([4]), errors, np.ones((1, 3, 1))))
    assert common_multiplier(single, np.array([4]), 0.95).bound == ">="

"""Origins: where they lie, and how much each has a say."""

from __future__ import annotations

import numpy as np
import pytest

from medscale.laws.averaging import average
from medscale.laws.families import Array
from medscale.laws.observations import observe
from medscale.laws.rounds import Rounds, origins

SIZES: Array = np.exp2(np.arange(10, dtype=float))
BENDING = 0.4 * SIZES**-0.4 + 0.05


def test_origins_are_doublings_and_leave_more_than_a_bend_takes() -> None:
    assert origins(SIZES) == [10, 9, 8, 7, 6, 5, 4]
    assert origins(SIZES[:4]) == [4]
    crowded: Array = np.geomspace(1, 512, 200)
    cuts = origins(crowded)
    ends = crowded[np.array(cuts) - 1]
    assert (ends[:-1] / ends[1:] >= 1.4).all()
    assert len(cuts) == 7


def test_late_origins_with_many_sizes_count_most() -> None:
    credit = Rounds(observe(SIZES, BENDING)).credit
    assert (np.diff(credit) < 0).all()
    assert credit[0] == pytest.approx(1 - 3 / 9)
    assert credit[1] < credit[0] / 3


def test_a_crowd_of_checkpoints_is_no_more_of_a_test_than_doublings() -> None:
    def credit(sizes: Array) -> float:
        return float(Rounds(observe(sizes, sizes**-0.3 + 0.1)).credit.sum())

    checkpoints: Array = np.geomspace(1, 512, 200)
    assert credit(checkpoints) == pytest.approx(credit(SIZES), rel=0.2)


def test_misses_are_told_in_shares_of_the_slope_and_noise_is_none() -> None:
    rounds = Rounds(observe(SIZES, BENDING))
    # Each origin foretells one doubling.
    as_far_off_as_it_falls = (rounds.slopes[1:] * np.log(2)) ** 2
    np.testing.assert_allclose(rounds.misfits(as_far_off_as_it_falls), 1, atol=0.02)
    np.testing.assert_array_equal(rounds.misfits(np.full(6, 1e-12)), 0)


def test_a_curve_that_surprised_before_is_expected_to_surprise_again() -> None:
    smooth = observe(SIZES, BENDING)
    # A second phase of learning starts at n = 64, which nothing before foretold.
    stepped = observe(SIZES, BENDING * np.where(SIZES > 64, 0.7, 1.0))
    assert average(stepped).misfit > 1.4 * average(smooth).misfit


def test_one_surprise_is_not_expected_again_in_full() -> None:
    steps = [average(observe(SIZES, BENDING * np.where(SIZES > 64, s, 1.0))) for s in (0.7, 0.4)]
    assert steps[0].misfit < steps[1].misfit < 1.5 * steps[0].misfit


def test_a_curve_without_origins_has_the_usual_misfit() -> None:
    assert average(observe(SIZES[:4], BENDING[:4])).misfit == pytest.approx(0.1)

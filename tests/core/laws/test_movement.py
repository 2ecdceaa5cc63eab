"""Which parameter of the law an arm moves."""

from __future__ import annotations

import numpy as np
import pytest

from medscale.laws.crossed import LogMeans
from medscale.laws.movement import PARAMETERS, Movement, movements
from medscale.laws.pairing import PairedErrors

SIZES = np.array([1, 2, 4, 8, 16, 32, 64])
LAW = {"factor": 0.5, "exponent": 0.7, "floor": 0.04}


def curves(changes: dict[str, float], noise: float = 0.005, trials: int = 6) -> LogMeans:
    """Return curves of two arms, the second with changed parameters."""
    laws = [LAW, LAW | changes]
    means = np.stack([law["factor"] * SIZES ** -law["exponent"] + law["floor"] for law in laws])
    luck = noise * np.random.default_rng(1).standard_normal((2, len(SIZES), trials))
    errors = (means[..., None] * np.exp(luck))[..., None]
    return LogMeans.of(PairedErrors(SIZES, errors, np.ones((len(SIZES), trials, 1))))


def moved(changes: dict[str, float], noise: float = 0.005) -> dict[str, Movement]:
    return {found.parameter: found for found in movements(curves(changes, noise), SIZES, 0.95)}


@pytest.mark.parametrize(
    ("parameter", "value"), [("factor", 0.3), ("exponent", 1.1), ("floor", 0.02)]
)
def test_the_parameter_that_moves_is_found(parameter: str, value: float) -> None:
    found = moved({parameter: value})
    assert all(found[name].identified for name in PARAMETERS)
    for name in PARAMETERS:
        truth = value - LAW[name] if name == parameter else 0
        assert found[name].low <= truth <= found[name].high
    told = {name for name in PARAMETERS if not found[name].low <= 0 <= found[name].high}
    assert told == {parameter}
    assert max(PARAMETERS, key=lambda name: found[name].alone) == parameter
    assert found[parameter].alone > 0.98


def test_estimates_are_those_of_the_law() -> None:
    for name, found in moved({"floor": 0.02}, noise=0).items():
        assert found.baseline_value == pytest.approx(LAW[name], rel=0.03)


def test_noise_leaves_exponent_and_floor_unidentified() -> None:
    found = moved({"factor": 0.4}, noise=0.5)
    assert not found["exponent"].identified
    assert not found["floor"].identified


def test_the_same_curve_moves_nothing() -> None:
    for found in moved({}, noise=0).values():
        assert found.difference == 0
        assert np.isnan(found.alone)


def test_the_unit_of_error_goes_along() -> None:
    before = curves({"factor": 0.3})
    after = LogMeans(
        before.values + np.log(100),
        before.by_trial,
        before.by_subject,
        before.interaction,
        before.pairs,
    )
    for small, large in zip(
        movements(before, SIZES, 0.95), movements(after, SIZES, 0.95), strict=True
    ):
        unit = 1 if small.parameter == "exponent" else 100
        assert large.difference == pytest.approx(unit * small.difference, rel=1e-6)
        assert large.low == pytest.approx(unit * small.low, rel=1e-6)
        assert large.identified == small.identified


def test_it_is_the_same_every_time() -> None:
    assert moved({"floor": 0.02}) == moved({"floor": 0.02})


def test_two_trials_give_estimates_only() -> None:
    for found in movements(curves({"factor": 0.3}, trials=2), SIZES, 0.95):
        assert np.isfinite(found.difference)
        assert np.isnan([found.low, found.high]).all()
        assert not found.identified

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
    means = [law["factor"] * SIZES ** -law["exponent"] + law["floor"] for law in laws]
    return around(np.stack(means), noise, trials)


def around(means: np.ndarray, noise: float, trials: int = 6) -> LogMeans:
    """Return curves of two arms whose trials lie around these mean errors."""
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
    assert told == {parameter} == {name for name in PARAMETERS if found[name].p < 0.05}
    assert max(PARAMETERS, key=lambda name: found[name].alone) == parameter
    assert found[parameter].alone > 0.98


def test_estimates_are_those_of_the_law() -> None:
    for name, found in moved({"floor": 0.02}, noise=0).items():
        assert found.baseline_value == pytest.approx(LAW[name], rel=0.03)


def test_noise_leaves_exponent_and_floor_unidentified() -> None:
    found = moved({"factor": 0.4}, noise=0.5)
    assert not found["exponent"].identified
    assert not found["floor"].identified


def plateau(sizes: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.exp(-sizes / 20) + 0.1)


def test_another_law_identifies_no_parameter() -> None:
    # To double all images is no change of a factor, an exponent or a floor.
    means = np.stack([plateau(SIZES), plateau(2 * SIZES)])
    found = movements(around(means, noise=0.03), SIZES, 0.95)
    assert any(one.p < 0.01 for one in found)
    assert all(one.law_p < 0.05 for one in found)
    assert not any(one.identified for one in found)


def test_noise_is_no_sign_of_another_law() -> None:
    means = np.stack([LAW["factor"] * SIZES ** -LAW["exponent"] + LAW["floor"]] * 2)
    refused = 0
    for seed in range(40):
        luck = np.random.default_rng(seed).standard_normal((2, len(SIZES), 6, 1))
        errors = means[..., None, None] * np.exp(0.1 * luck)
        found = LogMeans.of(PairedErrors(SIZES, errors, np.ones((len(SIZES), 6, 1))))
        refused += movements(found, SIZES, 0.95)[0].law_p < 0.05
    assert refused <= 4


def test_the_same_curve_moves_nothing() -> None:
    for found in moved({}, noise=0).values():
        assert found.difference == 0
        assert found.p == 1
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
        assert np.isnan([found.low, found.high, found.p, found.law_p]).all()
        assert not found.identified

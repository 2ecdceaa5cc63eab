"""The face of the library: equivariances, recovery, intervals, floors and forecasts."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medscale.errors import DataError
from medscale.laws import Fit, fit, fit_cases
from medscale.laws.families import FAMILIES
from medscale.laws.measure import Measure

SIZES = np.repeat(2.0 ** np.arange(7), 5)
REPLICATES = np.tile(np.arange(5), 7)
BEYOND = np.array([128.0, 256.0])


def trials(floor: float = 0.1, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    scatter = np.random.default_rng(seed).normal(size=len(SIZES)) * noise
    return (floor + 0.5 * SIZES**-0.5) * np.exp(scatter)


def on_cases(errors: np.ndarray, seed: int = 0, cases: int = 20) -> np.ndarray:
    """Return errors (T, C) on hard and easy cases; over all there are, each trial has `errors`."""
    generator = np.random.default_rng([1, seed])
    hardness, interaction = (
        generator.normal(size=cases),
        generator.normal(size=(len(errors), cases)),
    )
    deviation = 0.5 * hardness + 0.3 * interaction
    return errors[:, None] * np.exp(deviation - (0.5**2 + 0.3**2) / 2)


@pytest.fixture(scope="module")
def law() -> Fit:
    return fit(SIZES, trials(), replicates=REPLICATES)


@pytest.fixture(scope="module")
def population_law() -> Fit:
    return fit(SIZES, on_cases(trials()), replicates=REPLICATES)


@pytest.fixture(scope="module")
def given_law() -> Fit:
    return fit(SIZES, on_cases(trials()).mean(1), replicates=REPLICATES)


def test_a_truth_is_found_again(law: Fit) -> None:
    truth = 0.1 + 0.5 * BEYOND**-0.5
    np.testing.assert_allclose(law.predict(BEYOND), truth, rtol=0.1)
    low, high = law.interval(BEYOND)
    assert ((low < truth) & (truth < high)).all()
    estimate, low_floor, high_floor = law.floor
    assert low_floor <= 0.1 <= high_floor
    assert low_floor <= estimate <= high_floor


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1e6), unit=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_units_do_not_matter(scale: float, unit: float, seed: int) -> None:
    plain, other = fit(SIZES, trials(seed=seed)), fit(SIZES * scale, trials(seed=seed) * unit)
    np.testing.assert_allclose(
        other.predict(BEYOND * scale), plain.predict(BEYOND) * unit, rtol=1e-4
    )
    np.testing.assert_allclose(other.floor, np.array(plain.floor) * unit, rtol=1e-2, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_order_of_trials_does_not_matter(law: Fit, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(SIZES))
    other = fit(SIZES[order], trials()[order], replicates=REPLICATES[order])
    np.testing.assert_array_equal(other.predict(BEYOND), law.predict(BEYOND))
    np.testing.assert_array_equal(other.interval(BEYOND), law.interval(BEYOND))


def test_predictions_beyond_the_sizes_fall(law: Fit) -> None:
    assert (np.diff(law.predict(np.geomspace(64, 1e5, 50))) < 0).all()


def test_intervals_widen_with_the_distance_and_a_run_s_are_wider(law: Fit) -> None:
    n = np.array([64.0, 128.0, 256.0, 1024.0])
    low, high = law.interval(n)
    assert (np.diff(np.log(high / low)) > 0).all()
    run_low, run_high = law.interval(n, kind="run")
    assert ((run_low < low) & (run_high > high)).all()
    wider = law.interval(n, level=0.99)
    assert ((wider[0] < low) & (wider[1] > high)).all()


def test_one_training_run_tells_less_of_what_comes_than_trials() -> None:
    sizes = np.exp2(np.arange(10.0))
    errors = 0.5 * sizes**-0.4 + 0.05
    trials = np.concatenate([errors * 1.005, errors / 1.005])

    def width(law: Fit) -> float:
        low, high = law.interval(1024)
        return float(np.log(high / low))

    assert width(fit(sizes, errors)) > 1.5 * width(fit(np.tile(sizes, 2), trials))


@pytest.mark.parametrize("kind", ["mean", "run"])
def test_intervals_end_where_errors_do(kind: Literal["mean", "run"]) -> None:
    sizes, errors = [1, 1, 2, 2, 4, 4, 8, 8], [0.99, 0.9, 0.98, 0.85, 0.97, 0.7, 0.96, 0.6]
    free, bounded = fit(sizes, errors), fit(sizes, errors, largest=1.0)
    assert free.interval(1, kind=kind)[1] > 1
    assert bounded.interval(1, kind=kind)[1] == 1
    assert bounded.interval(1, kind=kind)[0] == free.interval(1, kind=kind)[0]


def test_no_prediction_exceeds_the_largest_error() -> None:
    law = fit([8, 16, 32, 64, 128], [0.98, 0.95, 0.9, 0.8, 0.65], largest=1.0)
    assert fit([8, 16, 32, 64, 128], [0.98, 0.95, 0.9, 0.8, 0.65]).predict(1) > 1
    low, high = law.interval(1)
    assert low < law.predict(1) == high == 1


@pytest.mark.parametrize("largest", [0.5, -1.0, np.nan])
def test_a_largest_error_below_the_means_is_refused(largest: float) -> None:
    with pytest.raises(DataError, match="expected an error that no mean exceeds"):
        fit([8, 16, 32], [0.98, 0.95, 0.9], largest=largest)


def test_intervals_at_a_level_near_1_may_have_no_end() -> None:
    low, high = fit([1, 2], [0.4, 0.3]).interval(4, level=1 - 1e-9)
    assert low == 0
    assert high == np.inf


def test_replicates_that_err_together_widen_the_interval() -> None:
    common = np.random.default_rng(1).normal(size=5)[REPLICATES] * 0.2
    errors = trials(noise=0.01) * np.exp(common)
    widths = [
        np.log(np.divide(*reversed(fit(SIZES, errors, replicates=labels).interval(64.0))))
        for labels in (REPLICATES, None)
    ]
    assert widths[0] > 1.1 * widths[1]


def test_families_are_named_and_their_weights_add_up_to_one(law: Fit) -> None:
    assert {family.name for family in law.families} == {family.name for family in FAMILIES}
    assert sum(family.weight for family in law.families) == pytest.approx(1)
    for family in law.families:
        assert family.parameters["error"] == pytest.approx(law.predict(64.0), rel=0.1)


def test_families_that_foretell_badly_weigh_less() -> None:
    weights = {f.name: f.weight for f in fit(SIZES, 0.5 * SIZES**-0.3).families}
    assert weights["power"] > 3 * weights["exponential"]


@pytest.mark.parametrize("name", ["shifted_floor", "m4", "bnsl"])
def test_clean_curves_are_read_as_a_whole(name: str) -> None:
    # A floor and an early bend that the late points alone would take for something else.
    family = next(f for f in FAMILIES if f.name == name)
    x = np.log(2.0 ** np.arange(11) / 512)
    theta = np.array([[-1.0, np.log(0.1), 1.0, *(p.centre + p.spread for p in family.shape)]])
    truth = np.exp(family.log_error(x[None], theta)[0][0])
    law = fit(2.0 ** np.arange(10), truth[:-1])
    assert law.predict(1024.0) == pytest.approx(truth[-1], rel=0.01)


def test_no_number_is_given_below_the_floor_of_a_curve_that_has_flattened() -> None:
    sizes = np.repeat(2.0 ** np.arange(9), 10)
    noise = np.random.default_rng(5).normal(size=len(sizes)) * 0.05
    law = fit(sizes, (0.1 + 0.5 * np.exp(-sizes / 60)) * np.exp(noise))
    assert law.required(0.09).status in ("unreachable", "not_identified")
    assert law.required(0.12).status == "reached"


def test_means_are_those_of_the_trials(law: Fit) -> None:
    np.testing.assert_array_equal(law.sizes, 2.0 ** np.arange(7))
    np.testing.assert_allclose(law.means, trials().reshape(7, 5).mean(1))


def test_within_the_sizes_the_law_keeps_to_what_was_seen() -> None:
    # Far from any law at n = 1: a prediction there must not fight the data.
    errors = trials(noise=0.02)
    errors[SIZES == 1] *= 1.3
    law = fit(SIZES, errors)
    np.testing.assert_allclose(law.predict(1.0), law.means[0], rtol=0.05)


@pytest.mark.parametrize(
    ("target", "status"),
    [(0.3, "reached"), (0.15, "reachable"), (0.115, "not_identified"), (0.01, "unreachable")],
)
def test_targets_get_the_answer_that_the_data_allow(law: Fit, target: float, status: str) -> None:
    answer = law.required(target)
    assert answer.status == status
    if status in ("reached", "reachable"):
        assert answer.low <= (0.5 / (target - 0.1)) ** 2 <= answer.high
        assert answer.low <= answer.n <= answer.high
        assert f"n = {answer.n:.0f}" in answer.sentence
    else:
        assert np.isnan(answer.n)
    if status == "unreachable":
        assert "levels off at" in answer.sentence
    if status == "not_identified":
        assert f"add n = {law.next_sizes[0]}" in answer.sentence


def test_answers_may_be_about_a_score(law: Fit) -> None:
    assert law.required(0.3).sentence.startswith("error 0.3 needs about n =")
    dice, iou = Measure("dice", is_score=True), Measure("iou", is_score=True)
    assert law.required(0.3, measure=dice).sentence.startswith("Dice 0.7 needs about n =")
    assert law.required(0.01, measure=iou).sentence.startswith("IoU 0.99 is unreachable")
    assert dice.between(0.1, 0.25) == "0.75 to 0.9"
    assert Measure().between(0.1, 0.25) == "0.1 to 0.25"
    # No score is below nothing, however wide the interval of the error.
    assert Measure("accuracy", is_score=True).between(0.0002, 1.5) == "0 to 0.9998"


def test_answers_about_another_error_name_it(law: Fit) -> None:
    bce = Measure("bce")
    assert law.required(0.3, measure=bce).sentence.startswith("BCE 0.3 needs about n =")
    said = law.required(0.01, measure=bce).sentence
    assert said.startswith("BCE 0.01 is unreachable")
    assert "levels off at BCE 0.1" in said
    assert Measure("surface distance").say(2.5) == "surface distance 2.5"


def test_next_sizes_of_shares_are_shares() -> None:
    shares = fit([0.05, 0.1, 0.2, 0.4], [0.4, 0.33, 0.28, 0.25])
    assert list(shares.next_sizes) == [0.8, 1.6]
    assert "add n = 0.8 or 1.6" in shares.required(0.12).sentence


def test_next_sizes_go_on_and_trust_ends_somewhere(law: Fit) -> None:
    assert list(law.next_sizes) == [128, 256]
    assert 1 < law.trusted_factor <= 64
    noisy = fit(SIZES, trials(noise=0.5))
    assert noisy.trusted_factor < law.trusted_factor


@pytest.mark.parametrize("n", [0.0, -3.0, np.nan])
def test_impossible_sizes_are_refused(law: Fit, n: float) -> None:
    with pytest.raises(DataError, match="n got"):
        law.predict(n)


def test_impossible_targets_and_levels_are_refused(law: Fit) -> None:
    with pytest.raises(DataError, match="target got -1"):
        law.required(-1)
    with pytest.raises(DataError, match="level got 90"):
        law.interval(128, level=90)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_single_points_are_fitted_with_wide_intervals(count: int) -> None:
    law = fit([1, 2, 4, 8][:count], [0.5, 0.4, 0.33, 0.28][:count])
    low, high = law.interval(16)
    assert 0 < low < law.predict(16) < high
    assert law.warnings


def test_test_cases_change_intervals_and_not_predictions(
    population_law: Fit, given_law: Fit
) -> None:
    n = np.array([1.0, 3.0, 64.0, 128.0, 256.0])
    np.testing.assert_allclose(population_law.predict(n), given_law.predict(n))
    for kind in ("mean", "run"):
        (low, high), (given_low, given_high) = (
            law.interval(n, kind=kind) for law in (population_law, given_law)
        )
        assert ((low < given_low) & (high > given_high)).all()
    assert population_law.trusted_factor == pytest.approx(given_law.trusted_factor)


def test_few_test_cases_widen_the_required_number_and_do_not_withhold_it(
    population_law: Fit, given_law: Fit
) -> None:
    target = float(given_law.predict(100.0))
    answer, given = population_law.required(target), given_law.required(target)
    assert answer.status == given.status == "reachable"
    assert answer.n == pytest.approx(given.n)
    assert answer.low < given.low
    assert answer.high > given.high


@pytest.mark.parametrize("n", [1.0, 64.0])
def test_with_trials_that_agree_the_interval_is_student_s_over_patients(n: float) -> None:
    errors = trials(noise=0.001)
    # At n = 1 no law holds, and what was seen counts.
    errors[SIZES == 1] *= 1.3
    hardness = np.array([0.7, 0.8, 1.0, 1.1, 1.4])
    law = fit(SIZES, errors[:, None] * hardness, replicates=REPLICATES)
    low, high = law.interval(n)
    expected = stats.t.ppf(0.95, 4) * hardness.std(ddof=1) / np.sqrt(5)
    assert np.log(high / low) / 2 == pytest.approx(expected, rel=0.1)


def test_the_floor_of_other_patients_is_less_known(population_law: Fit, given_law: Fit) -> None:
    estimate, low, high = population_law.floor
    assert low <= estimate <= high
    assert high > given_law.floor[2]
    assert low <= given_law.floor[1]


def test_intervals_say_what_they_are_about(population_law: Fit, law: Fit) -> None:
    assert population_law.subjects == 20
    assert population_law.scope == "new patients, of whom the 20 test subjects are a sample"
    assert law.scope == "these very test cases, not new patients"


def case_rows(errors: np.ndarray, subjects: np.ndarray) -> pd.DataFrame:
    """Return a row for each trial and case, in any order."""
    trial, case = np.indices(errors.shape).reshape(2, -1)
    return pd.DataFrame(
        {
            "size": SIZES[trial],
            "split": 0,
            "replicate": REPLICATES[trial],
            "subject": subjects[case],
            "case": case,
            "error": errors.ravel(),
        }
    ).sample(frac=1, random_state=0)


def test_a_table_of_cases_is_fitted_as_arrays_are() -> None:
    errors, subjects = on_cases(trials()), np.arange(20) // 4
    rows = case_rows(errors, subjects)
    law = fit(SIZES, errors, replicates=REPLICATES, subjects=subjects)
    assert law.subjects == 5
    np.testing.assert_allclose(fit_cases(rows).interval(BEYOND), law.interval(BEYOND))
    with pytest.raises(DataError, match="is twice in the trial of n = "):
        fit_cases(pd.concat([rows, rows.head(1)]))


def test_a_table_tells_what_it_lacks_and_names_what_is_below_0() -> None:
    rows = case_rows(on_cases(trials()), np.arange(20)).reset_index(drop=True)
    assert not fit_cases(rows).warnings
    unscored = rows.assign(error=rows["error"].where(rows.index > 0))
    for lacking in (rows.drop(index=0), unscored):
        (warning,) = fit_cases(lacking).warnings
        assert warning.startswith("1 of 700 case scores are missing and left out")
    rows.loc[3, "error"] = -0.2
    named = "case {case} in the trial of n = {size}, split 0, replicate {replicate}, is -0.2"
    expected = named.format(**rows.loc[3].astype(int))
    with pytest.raises(DataError, match=expected):
        fit_cases(rows)


def test_a_law_is_not_trusted_beyond_a_late_rise() -> None:
    law = fit([1, 2, 4, 8, 16, 32], [0.5, 0.4, 0.3, 0.32, 0.4, 0.45])
    assert law.trusted_factor == 1
    assert law.required(0.25).status in ("not_identified", "unreachable")
    falling = fit([1, 2, 4, 8, 16, 32], [0.5, 0.4, 0.33, 0.28, 0.25, 0.23])
    assert falling.trusted_factor > 1


def error(law: Fit) -> tuple[float, float, float]:
    """Return the error at the largest size, and the ends of its interval."""
    low, high = law.interval(64.0)
    return float(law.predict(64.0)), float(low), float(high)


def test_level_and_slope_at_the_largest_size_are_found_again() -> None:
    # d ln(0.1 + 0.5 n^-0.5) / d ln n at n = 64
    level = 0.1 + 0.5 * 64**-0.5
    slope = 0.25 * 64**-0.5 / level
    held = np.zeros(2)
    for seed in range(40):
        law = fit(SIZES, trials(seed=seed))
        for place, (truth, (estimate, low, high)) in enumerate(
            zip((level, slope), (error(law), law.slope_at_largest), strict=True)
        ):
            assert low < estimate < high
            held[place] += low <= truth <= high
    # Of 40, 90 % is 36, with a standard deviation of 2.
    assert (held >= 31).all()


def test_level_and_slope_say_as_much_as_the_data_do(population_law: Fit, given_law: Fit) -> None:
    def width(ends: tuple[float, float, float]) -> float:
        return float(np.log(ends[2] / ends[1]))

    noisy, clean = fit(SIZES, trials(noise=0.3)), fit(SIZES, trials(noise=0.02))
    assert width(error(noisy)) > 3 * width(error(clean))
    assert width(noisy.slope_at_largest) > 1.3 * width(clean.slope_at_largest)
    assert width(error(population_law)) > width(error(given_law))
    steeper = fit(SIZES, 0.5 * SIZES**-0.6).slope_at_largest
    assert steeper[0] == pytest.approx(0.6, rel=0.1)


def test_with_few_test_cases_only_intervals_that_count_them_hold_the_population() -> None:
    truth = 0.1 + 0.5 * 64**-0.5
    held = {"population": 0, "given": 0}
    for seed in range(40):
        errors = on_cases(trials(seed=seed), seed)
        for name, own in (("population", errors), ("given", errors.mean(1))):
            low, high = fit(SIZES, own).interval(64.0)
            held[name] += bool(low <= truth <= high)
    # Of 40, 90 % is 36, with a standard deviation of 2.
    assert held["given"] < 26
    assert held["population"] > 31

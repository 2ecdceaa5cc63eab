"""Arms are compared pair by pair, and what cannot be said is said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medscale.errors import DataError
from medscale.laws.comparison import Comparison, compare

SIZES = (1, 2, 4, 8, 16)


def run(
    worth: float = 2.0,
    *,
    sizes: tuple[int, ...] = SIZES,
    replicates: int = 5,
    subjects: int = 12,
    luck: float = 0.02,
    seed: int = 0,
    **changes: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials and cases of a run whose arm "better" makes n images worth `worth` · n.

    Trials and subjects are lucky or hard for both arms alike; a change is a column's value.
    """
    generator = np.random.default_rng(seed)
    hardness = np.exp(0.4 * generator.standard_normal(subjects))
    # Subsets are nested, so a good one is good at every size.
    shared = np.exp(0.3 * generator.standard_normal(replicates))
    rows = []
    for size in sizes:
        for replicate in range(replicates):
            for arm, factor in (("none", 1.0), ("better", worth)):
                own = np.exp(luck * generator.standard_normal((subjects, 2)))
                errors = 0.3 * (factor * size) ** -0.4 * shared[replicate] * own * hardness[:, None]
                rows += [
                    {
                        "arm": arm,
                        "size": size,
                        "replicate": replicate,
                        "subject": f"s{subject}",
                        "case": f"s{subject}-{image}",
                        "dice": 1 - error,
                        "bce": 2 * error,
                    }
                    for subject, images in enumerate(errors)
                    for image, error in enumerate(images)
                ]
    cases = pd.DataFrame(rows).assign(
        dataset="toys", task="lv", backbone="tiny", split=0, **changes
    )
    place = ["dataset", "task", "backbone", "arm", "size", "split", "replicate"]
    trials = cases.groupby(place, sort=False)[["dice", "bce"]].mean().reset_index()
    slower = np.where(trials["arm"] == "none", 100, 150)
    return trials.assign(best_step=slower + trials["replicate"], steps=500), cases


def of_size(table: pd.DataFrame, size: int) -> Any:
    (row,) = table[table["size"] == size].itertuples()
    return row


def compared(worth: float = 2.0, **changes: Any) -> Comparison:
    return compare(*run(worth, **changes), baseline="none")


def test_ratios_are_those_of_mean_errors() -> None:
    trials, cases = run()
    found = compare(trials, cases, baseline="none").ratios
    means = (1 - trials["dice"]).groupby([trials["arm"], trials["size"]]).mean()
    for size in SIZES:
        row = of_size(found, size)
        assert row.ratio == pytest.approx(means["better", size] / means["none", size])
        assert row.low < row.ratio < row.high
        assert row.low <= 2**-0.4 <= row.high
        assert (row.verdict, row.replicates) == ("lower", 5)


def test_pairing_takes_away_what_the_arms_share() -> None:
    trials, cases = run()
    paired = compare(trials, cases, baseline="none").ratios
    shuffled = cases.copy()
    other = shuffled["arm"] == "better"
    shuffled.loc[other, "replicate"] = (shuffled.loc[other, "replicate"] + 1) % 5
    unpaired = compare(trials, shuffled, baseline="none").ratios
    width = np.log(paired["high"] / paired["low"])
    assert (width < 0.2 * np.log(unpaired["high"] / unpaired["low"])).all()


def test_the_multiplier_is_what_an_image_is_worth() -> None:
    found = compared()
    for size in (1, 2, 4):
        row = of_size(found.efficiency, size)
        assert row.low <= 2 <= row.high
        assert (row.bound, row.extrapolated) == ("", False)
    overall = found.overall.iloc[0]
    assert overall["multiplier_low"] < 2 < overall["multiplier_high"]
    assert overall["multiplier_high"] / overall["multiplier_low"] < 1.5
    assert of_size(found.efficiency, 16).extrapolated


def test_an_arm_that_is_worse_costs_images() -> None:
    found = compared(0.5)
    assert set(found.ratios["verdict"]) == {"higher"}
    assert of_size(found.efficiency, 8).high < 1
    smallest = of_size(found.efficiency, 1)
    assert (smallest.bound, smallest.multiplier, smallest.low) == ("<=", 1.0, 0.0)
    assert found.sentences[0].endswith("it costs annotations.")


def test_an_arm_beyond_all_that_was_seen_has_a_bound() -> None:
    row = of_size(compared(1e6).efficiency, 16)
    assert row.bound == ">="
    assert row.multiplier > 1
    assert row.high == math.inf


def test_an_arm_without_effect_is_not_told_apart() -> None:
    found = compared(1.0, luck=0.2)
    assert set(found.ratios["verdict"]) == {"not told apart"}
    assert "neither gain nor loss" in found.sentences[0]


def test_the_same_errors_are_worth_the_same() -> None:
    found = compared(1.0, luck=0.0)
    assert found.ratios["ratio"].to_list() == pytest.approx([1.0] * 5)
    assert found.ratios["p"].to_list() == [1.0] * 5
    assert found.efficiency["multiplier"].to_list() == pytest.approx([1.0] * 5)


def test_swapped_arms_have_inverse_ratios() -> None:
    trials, cases = run()
    ratios = compare(trials, cases, baseline="none").ratios
    swapped = compare(trials, cases, baseline="better").ratios
    np.testing.assert_allclose(ratios["ratio"], 1 / swapped["ratio"])
    np.testing.assert_allclose(ratios["low"], 1 / swapped["high"])
    np.testing.assert_allclose(ratios["p"], swapped["p"])


def test_the_order_of_rows_says_nothing() -> None:
    trials, cases = run()
    shuffled = compare(
        trials.sample(frac=1, random_state=1),
        cases.sample(frac=1, random_state=2),
        baseline="none",
    )
    found = compare(trials, cases, baseline="none")
    for name in ("ratios", "overall", "efficiency", "parameters"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(shuffled, name))


def test_a_unit_of_error_says_nothing() -> None:
    trials, cases = run()
    found = compare(trials, cases, baseline="none", metric="bce")
    larger = compare(trials, cases.assign(bce=10 * cases["bce"]), baseline="none", metric="bce")
    pd.testing.assert_frame_equal(found.ratios, larger.ratios)
    columns = ["multiplier", "low", "high"]
    pd.testing.assert_frame_equal(
        found.efficiency[columns][:4], larger.efficiency[columns][:4], rtol=1e-3
    )


def test_more_comparisons_are_held_to_more() -> None:
    trials, cases = run(1.3, luck=0.2)
    alone = compare(trials, cases, baseline="none").ratios
    many = [
        table.assign(task=table["task"] + str(copy)) for table in (trials, cases) for copy in "abcd"
    ]
    together = compare(pd.concat(many[:4]), pd.concat(many[4:]), baseline="none").ratios
    np.testing.assert_allclose(together["p"][:5], alone["p"])
    assert (together["p_adjusted"][:5] >= alone["p_adjusted"]).all()
    assert together["p_adjusted"].min() == pytest.approx(20 * together["p"].min())


def test_subjects_make_intervals_wider_than_trials_alone() -> None:
    trials, cases = run(luck=0.0, subjects=4)
    # One subject in four gains most: other subjects might not.
    gains = (cases["arm"] == "better") & (cases["subject"] == "s0")
    cases = cases.assign(dice=np.where(gains, 1 - (1 - cases["dice"]) / 4, cases["dice"]))
    place = ["dataset", "task", "backbone", "arm", "size", "split", "replicate"]
    trials = cases.groupby(place)["dice"].mean().reset_index()
    known = compare(trials, cases, baseline="none").ratios
    given = compare(trials, None, baseline="none")
    np.testing.assert_allclose(known["ratio"], given.ratios["ratio"])
    assert (known["high"] / known["low"] > 1.1 * given.ratios["high"] / given.ratios["low"]).all()
    assert any("intervals are of these cases" in text for text in given.warnings)


def test_cases_of_a_subject_go_together() -> None:
    trials, cases = run(luck=0.3, subjects=6)
    copies = [cases.assign(case=cases["case"] + copy) for copy in "abc"]
    tripled = compare(trials, pd.concat(copies), baseline="none").ratios
    pd.testing.assert_frame_equal(tripled, compare(trials, cases, baseline="none").ratios)


def test_one_trial_has_a_ratio_and_no_interval() -> None:
    found = compared(replicates=1)
    assert found.ratios["ratio"].notna().all()
    assert found.ratios[["low", "high", "p", "p_adjusted"]].isna().all(axis=None)
    assert set(found.ratios["verdict"]) == {""}
    assert found.efficiency[["low", "high"]].isna().all(axis=None)
    assert not found.parameters["identified"].any()
    assert any("run more replicates" in text for text in found.warnings)
    assert "no interval" in found.sentences[0]


def test_a_size_with_one_trial_leaves_the_others_their_intervals() -> None:
    trials, cases = run()
    going = (cases["size"] == 16) & (cases["replicate"] > 0)
    found = compare(trials, cases[~going], baseline="none")
    assert math.isnan(of_size(found.ratios, 16).low)
    assert found.ratios["low"][:4].notna().all()
    assert of_size(found.efficiency, 1).high == pytest.approx(2, rel=0.1)
    assert found.overall["low"].notna().all()
    assert found.parameters["low"].notna().all()
    assert any("one pair of trials at n = 16" in text for text in found.warnings)


def test_rows_without_a_partner_are_named() -> None:
    trials, cases = run()
    lost = (cases["arm"] == "better") & (cases["size"] == 4) & (cases["replicate"] == 2)
    found = compare(trials, cases[~lost], baseline="none")
    assert of_size(found.ratios, 4).replicates == 4
    (warning,) = found.warnings
    assert "n = 4, split 0, replicate 2" in warning
    assert "only the baseline" in warning


def test_errors_that_are_no_number_are_left_out() -> None:
    trials, cases = run()
    cases.loc[3, "dice"] = np.nan
    found = compare(trials, cases, baseline="none")
    assert found.ratios["ratio"].notna().all()
    assert any("no finite number" in text for text in found.warnings)
    assert any("that one of two paired trials lacks" in text for text in found.warnings)


def test_a_size_without_any_error_is_left_out() -> None:
    trials, cases = run()
    cases.loc[(cases["size"] == 16) & (cases["arm"] == "better"), "dice"] = 1.0
    found = compare(trials, cases, baseline="none")
    assert found.ratios["size"].to_list() == [1, 2, 4, 8]
    assert any("n = 16" in text and "zero" in text for text in found.warnings)


def test_an_interval_leaves_one_out_where_its_test_says_so() -> None:
    for seed in range(5):
        found = compared(1.2, luck=0.3, replicates=3, seed=seed)
        for table in (found.ratios, found.overall):
            beyond = (table["low"] > 1) | (table["high"] < 1)
            assert beyond.to_list() == (table["p"] < 0.05).to_list()


def test_all_parameters_are_corrected_together() -> None:
    trials, cases = run()
    alone = compare(trials, cases, baseline="none").parameters
    assert alone["p_adjusted"].min() == pytest.approx(3 * alone["p"].min())
    assert dict(zip(alone["parameter"], alone["verdict"], strict=True)) == {
        "factor": "lower",
        "exponent": "not told apart",
        "floor": "not told apart",
    }
    twice = [
        pd.concat([table, table.assign(task=table["task"] + "b")]) for table in (trials, cases)
    ]
    both = compare(twice[0], twice[1], baseline="none").parameters
    assert both["p_adjusted"].min() == pytest.approx(6 * alone["p"].min())


def test_curves_of_another_law_have_no_parameters_and_say_so() -> None:
    trials, cases = run()
    decay = np.exp(-cases["size"] / 4) * cases["size"] ** 0.4
    found = compare(trials, cases.assign(dice=1 - (1 - cases["dice"]) * decay), baseline="none")
    assert not found.parameters["identified"].any()
    assert not any("If errors are" in sentence for sentence in found.sentences)
    assert any("does not fit both curves" in text for text in found.warnings)
    assert not any("does not fit" in text for text in compared().warnings)


def test_few_sizes_do_not_identify_a_law() -> None:
    found = compared(sizes=(2, 4, 8))
    assert found.parameters["baseline_value"].isna().all()
    assert not found.parameters["identified"].any()
    assert any("do not identify" in text for text in found.warnings)


def test_one_size_is_compared_all_the_same() -> None:
    found = compared(sizes=(4,))
    assert of_size(found.ratios, 4).verdict == "lower"
    assert of_size(found.efficiency, 4).bound == ">="


def test_steps_to_the_best_checkpoint() -> None:
    row = of_size(compared().speed, 2)
    assert (row.baseline_steps, row.arm_steps) == (102, 152)
    assert (row.baseline_at_end, row.arm_at_end) == (0, 0)
    assert row.ratio == pytest.approx(152 / 102)
    assert row.low < row.ratio < row.high


def test_who_was_best_at_the_end_is_told_by_arm() -> None:
    trials, cases = run()
    trials["steps"] = trials["steps"].where(trials["arm"] == "none", trials["best_step"])
    row = of_size(compare(trials, cases, baseline="none").speed, 2)
    assert (row.baseline_at_end, row.arm_at_end) == (0, 1)


def test_a_recipe_without_checkpoints_has_no_speed() -> None:
    trials, cases = run()
    assert compare(trials.drop(columns="best_step"), cases, baseline="none").speed.empty


def test_sentences_answer_in_words() -> None:
    sentences = compared().sentences
    assert sentences[0].startswith("With better, 4 annotated images are worth 8 (7.")
    assert sentences[0].endswith(" without it.")
    assert sentences[1].startswith("Over all sizes, the error with better is 0.7")
    assert "lower at n = 1, 2, 4, 8, 16" in sentences[2]


def test_another_baseline_is_named() -> None:
    trials, cases = run()
    trials, cases = (
        table.assign(arm=table["arm"].replace("none", "red")) for table in (trials, cases)
    )
    assert compare(trials, cases, baseline="red").sentences[0].endswith(" with red.")


def test_the_table_has_a_row_for_every_size() -> None:
    found = compared()
    table = found.to_frame()
    assert table["size"].to_list() == list(SIZES)
    assert table["ratio"].to_list() == found.ratios["ratio"].to_list()
    assert table["high_multiplier"].to_list() == found.efficiency["high"].to_list()


def test_a_task_without_the_baseline_is_named() -> None:
    trials, cases = run()
    lonely = cases[cases["arm"] == "better"].assign(task="rv")
    found = compare(trials, pd.concat([cases, lonely]), baseline="none")
    assert set(found.ratios["task"]) == {"lv"}
    assert any(text.startswith("rv, tiny, better: no trial") for text in found.warnings)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"baseline": "nonne"}, "did you mean none"),
        ({"metric": "hd95"}, "use dice or bce"),
        ({"level": 95}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare(*run(), **{"baseline": "none"} | asked)


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    trials, cases = (table[table["arm"] == "none"] for table in run())
    with pytest.raises(DataError, match="only arm"):
        compare(trials, cases, baseline="none")


def test_arms_of_other_sizes_have_no_pairs() -> None:
    trials, cases = run()
    cases.loc[cases["arm"] == "better", "size"] += 100
    with pytest.raises(DataError, match="same sizes"):
        compare(trials, cases, baseline="none")


def test_two_runs_at_once_are_refused() -> None:
    trials, cases = run()
    with pytest.raises(DataError, match="is twice in the trial of n = "):
        compare(trials, pd.concat([cases, cases]), baseline="none")
    with pytest.raises(DataError, match="several data sets"):
        compare(pd.concat([trials, trials.assign(dataset="more")]), cases, baseline="none")

"""Which arm is named first, and that nothing is claimed which is not shown."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from medscale.laws.sentences import saving, sentences


def _efficiency(arm: str, size: int, multiplier: float) -> dict[str, object]:
    return {
        "task": "lv",
        "backbone": "tiny",
        "arm": arm,
        "size": size,
        "multiplier": multiplier,
        "low": 1.1,
        "high": 9.0,
        "bound": "",
        "extrapolated": False,
        "verdict": "lower",
    }


def _overall(arm: str, ratio: float) -> dict[str, object]:
    return {"task": "lv", "backbone": "tiny", "arm": arm, "ratio": ratio, "verdict": "lower"}


def test_the_arm_that_lowers_the_error_most_over_all_sizes_is_named() -> None:
    efficiency = pd.DataFrame([_efficiency("early", 2, 4.0), _efficiency("steady", 8, 2.0)])
    for ratios, best in (((0.9, 0.7), "steady, 8"), ((0.7, 0.9), "early, 2")):
        overall = pd.DataFrame(
            [_overall(arm, ratio) for arm, ratio in zip(("early", "steady"), ratios, strict=True)]
        )
        sentence = saving(overall=overall, efficiency=efficiency, baseline="none")
        assert sentence.startswith(f"With {best} annotated images are worth ")
    # Where two are level, the one with which an image is worth more.
    overall = pd.DataFrame([_overall("early", 0.8), _overall("steady", 0.8)])
    sentence = saving(overall=overall, efficiency=efficiency, baseline="none")
    assert sentence.startswith("With early, ")


def test_an_interval_that_no_test_confirms_is_no_saving() -> None:
    lucky = _efficiency("lucky", 1, 4.0) | {"verdict": "not told apart"}
    shown = _efficiency("shown", 4, 1.5)
    overall = pd.DataFrame(
        [
            _overall("lucky", 0.7) | {"verdict": "not told apart", "low": 0.5, "high": 1.1},
            _overall("shown", 0.9),
        ]
    )
    efficiency = pd.DataFrame([lucky, shown])
    sentence = saving(overall=overall, efficiency=efficiency, baseline="none")
    assert sentence.startswith("With shown, 4 ")
    sentence = saving(overall=overall[:1], efficiency=efficiency[:1], baseline="none")
    assert sentence == "No annotations are shown to be saved with lucky."


def test_single_trials_show_no_saving() -> None:
    single = {"low": math.nan, "high": math.nan, "verdict": ""}
    efficiency = pd.DataFrame([_efficiency("one", 4, 3.0) | single])
    overall = pd.DataFrame([_overall("one", 0.6) | single])
    sentence = saving(overall=overall, efficiency=efficiency, baseline="none")
    assert sentence.startswith("One training at each size cannot show")


@pytest.mark.parametrize(
    ("low", "said"),
    [(1.5, "at least 6 without it."), (1.25, "at least 6 (interval from 5) without it.")],
)
def test_a_bound_is_said_once(low: float, said: str) -> None:
    row = _efficiency("far", 4, 1.5) | {"bound": ">=", "low": low, "high": math.inf}
    overall = pd.DataFrame([_overall("far", 0.8)])
    sentence = saving(overall=overall, efficiency=pd.DataFrame([row]), baseline="none")
    assert sentence == f"With far, 4 annotated images are worth {said}"


def test_a_last_size_without_interval_does_not_speak_for_the_others() -> None:
    single = {"low": math.nan, "high": math.nan, "verdict": ""}
    rows = [_efficiency("one", 4, 3.0) | {"high": math.inf}, _efficiency("one", 8, 3.0) | single]
    overall = pd.DataFrame([_overall("one", 0.6)])
    sentence = saving(overall=overall, efficiency=pd.DataFrame(rows), baseline="none")
    assert sentence == "With one, 4 annotated images are worth 12 (interval from 4.4) without it."


def test_a_parameter_is_told_where_it_is_identified_and_its_test_stands_correction() -> None:
    ratios = pd.DataFrame([_overall("one", 0.6) | {"size": 4, "low": 0.5, "high": 0.7}])
    overall = ratios.assign(bound=">=")
    efficiency = pd.DataFrame([_efficiency("one", 4, 3.0)])
    moved = {
        "parameter": "floor",
        "baseline_value": 0.1,
        "arm_value": 0.05,
        "difference": -0.05,
        "low": -0.08,
        "high": -0.02,
        "identified": True,
        "verdict": "lower",
    }

    def told(**changes: object) -> str:
        return sentences(
            ratios=ratios,
            overall=overall,
            efficiency=efficiency,
            parameters=pd.DataFrame([_overall("one", 0.6) | moved | changes]),
            baseline="none",
        )[-1]

    assert told() == (
        "If errors are factor · n^−exponent + floor, one lowers the floor from 0.1 to 0.05 "
        "(difference -0.08 to -0.02), compared with none, after correction for the number of tests."
    )
    assert "raises the floor" in told(verdict="higher")
    assert "floor" not in told(verdict="not told apart")
    assert "floor" not in told(identified=False)

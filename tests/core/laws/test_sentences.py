"""Which arm is named first."""

from __future__ import annotations

import pandas as pd

from medscale.laws.sentences import saving


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

"""What the page says first is true of what was fitted, and honest where nothing was."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale.laws import Required
from medscale.report.answers import cautions, facts, headlines, needed, setting_answers
from medscale.report.findings import ArmFinding, find


class Law:
    """A law of sizes 1 to 16 that answers as it is told."""

    sizes = np.array([1.0, 4.0, 16.0])
    next_sizes = (32, 64)
    floor = (0.2, 0.15, 0.25)
    trusted_factor = 4.0

    def __init__(self, **answer: Any) -> None:
        self._answer: dict[str, Any] = dict.fromkeys(("n", "low", "high"), math.nan) | answer

    def required(self, target: float, level: float) -> Required:
        assert level == 0.95
        return Required(target=target, sentence="", **self._answer)


@pytest.mark.parametrize(
    ("answer", "clause", "known"),
    [
        (
            {"status": "reachable", "n": 48.2, "low": 35.1, "high": 80.4},
            "Dice 0.90 needs about 48 images (35–80)",
            True,
        ),
        (
            {"status": "reachable", "n": 48.2, "low": 35.1, "high": math.inf},
            "Dice 0.90 needs about 48 images (35 or more, perhaps never)",
            True,
        ),
        (
            {"status": "reached", "n": 3.4, "low": 1.0, "high": math.inf},
            "Dice 0.90 needs about 3 images (1 or more, perhaps never)",
            True,
        ),
        (
            {"status": "reached", "n": 1.2, "low": 1.0, "high": 2.1},
            "Dice 0.90 needs about 1 image (1–2)",
            True,
        ),
        (
            {"status": "reached", "n": 1.0, "low": 1.0, "high": 1.0},
            "Dice 0.90 is reached with n = 1 image already",
            True,
        ),
        (
            {"status": "reached", "n": 1.0, "low": 1.0, "high": 3.2},
            "Dice 0.90 is reached with n = 1 image already (1–3)",
            True,
        ),
        (
            {"status": "reached", "n": 1.0, "low": 1.0, "high": math.inf},
            "Dice 0.90 is reached with n = 1 image already (1 or more, perhaps never)",
            True,
        ),
        (
            {"status": "reached", "n": 9.0, "low": 7.0, "high": 12.0},
            "Dice 0.90 needs about 9 images (7–12)",
            True,
        ),
        (
            {"status": "unreachable"},
            "Dice 0.90 is out of reach: with more images it levels off near Dice 0.80",
            False,
        ),
        (
            {"status": "not_identified", "low": 2.0},
            "these sizes do not tell how many images Dice 0.90 needs; trials with n = 32 and 64 "
            "would say more",
            False,
        ),
        (
            {"status": "not_identified", "low": 51.2},
            "these sizes do not tell how many images Dice 0.90 needs, but more than 51; trials "
            "with n = 32 and 64 would say more",
            False,
        ),
        (
            {"status": "not_identified", "low": 272.0},
            "these sizes do not tell how many images Dice 0.90 needs, but more than 64; trials "
            "with n = 32 and 64 would say more",
            False,
        ),
    ],
)
def test_what_a_target_needs(
    tmp_path: Path, answer: dict[str, Any], clause: str, known: bool
) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", sizes=(1, 4)).folder], baseline=None)
    arm = run.settings[0].best
    law: Any = Law(**answer)
    need = needed(ArmFinding(arm=arm.arm, trials=arm.trials, law=law, trouble=""), 0.9)
    assert (need.clause, need.known) == (clause, known)


def test_a_law_that_is_not_trusted_beyond_its_sizes_names_no_least_number(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", sizes=(1, 4)).folder], baseline=None)
    arm = run.settings[0].best
    law: Any = Law(status="not_identified", low=272.0)
    law.trusted_factor = 1.0
    need = needed(ArmFinding(arm=arm.arm, trials=arm.trials, law=law, trouble=""), 0.9)
    assert "more than" not in need.clause


def test_the_target_is_said_as_it_was_asked_for(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", sizes=(1, 4)).folder], baseline=None)
    arm = run.settings[0].best
    law: Any = Law(status="reachable", n=48.2, low=35.1, high=80.4)
    need = needed(ArmFinding(arm=arm.arm, trials=arm.trials, law=law, trouble=""), 0.905)
    assert need.clause == "Dice 0.905 needs about 48 images (35–80)"


def test_what_is_out_of_reach_is_not_rounded_into_reach(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", sizes=(1, 4)).folder], baseline=None)
    arm = run.settings[0].best
    law: Any = Law(status="unreachable")
    law.floor = (0.1042, 0.102, 0.106)
    need = needed(ArmFinding(arm=arm.arm, trials=arm.trials, law=law, trouble=""), 0.899)
    assert need.clause.startswith("Dice 0.899 is out of reach")
    assert need.clause.endswith("near Dice 0.8958")


def test_without_a_law_nothing_is_forecast(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", sizes=(4,)).folder], baseline=None)
    assert run.settings[0].best.law is None
    (headline,) = headlines([run], 0.9)
    assert headline.forecast == "These trials do not tell how many images Dice 0.90 needs."


def test_the_best_arm_is_named_and_its_gain_told(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run").folder], baseline=None)
    (answer,) = setting_answers(run, 0.9)
    assert (answer.best, answer.size) == ("red", 16)
    # Errors are 0.8 · n^-0.4, and 0.7 of that with red: one image is worth 0.7^(-1 / 0.4) = 2.4.
    told = re.match(r"With red, (\d+) annotated images are worth ([\d.]+)", answer.saving)
    assert told is not None
    assert float(told[2]) / int(told[1]) == pytest.approx(2.4, abs=0.3)
    assert float(answer.dice) == pytest.approx(1 - 0.7 * 0.8 * 16**-0.4, abs=0.01)


def test_the_headline_of_a_single_answer_says_what_would_tell_more(tmp_path: Path) -> None:
    one = synthetic_run(tmp_path / "one").folder
    (headline,) = headlines(find([one], baseline=None), 0.9)
    assert headline.answer.startswith("With red, ")
    assert headline.forecast.endswith("; trials with n = 32 and 64 would say more.")


def test_every_task_of_every_run_has_a_headline_of_its_own(tmp_path: Path) -> None:
    one = synthetic_run(tmp_path / "one", tasks=("lv", "rv"), sizes=(1, 4, 16), replicates=3)
    two = synthetic_run(tmp_path / "two", tasks=("lv",), arms=("none",), sizes=(1, 4, 16))
    found = find([one.folder, two.folder], baseline=None)
    told = headlines(found, 0.5)
    assert [headline.setting.title for headline in told] == [
        "one · toys · lv · tiny",
        "toys · rv · tiny",
        "two · toys · lv · tiny",
    ]
    # Errors are 0.8 · n^-0.4, and 0.7 of that with red: 0.5 is reached at n = 3, and at 1.3.
    for headline in told[:2]:
        assert re.search(r" worth .* without it; with red, Dice 0.50 needs", headline.answer)
    assert re.match(r"Dice 0.50 needs about 3 images", told[2].answer)
    assert not any("would say more" in headline.forecast for headline in headlines(found, 0.9))


def test_of_many_headlines_each_run_has_its_share(tmp_path: Path) -> None:
    tasks = [f"task{number}" for number in range(8)]
    many = synthetic_run(tmp_path / "many", tasks=tasks, sizes=(1, 4), replicates=1)
    few = synthetic_run(tmp_path / "few", dataset="thorax", sizes=(1, 4), replicates=1)
    told = headlines(find([many.folder, few.folder], baseline=None), 0.9)
    assert [headline.setting.task for headline in told] == [*tasks[:5], "blob"]


def test_where_no_arm_beats_the_baseline_it_is_said(tmp_path: Path) -> None:
    (run,) = find([synthetic_run(tmp_path / "run").folder], baseline="red")
    (answer,) = setting_answers(run, 0.9)
    assert answer.best == "red"
    assert answer.saving == "No annotations are shown to be saved with none."


def test_cautions_say_each_thing_once(tmp_path: Path) -> None:
    folders = [synthetic_run(tmp_path / name, replicates=2).folder for name in ("one", "two")]
    folders.append(synthetic_run(tmp_path / "three", replicates=6, failed=1).folder)
    said = cautions(find(folders, baseline=None))
    assert len(said) == len(set(said)) == 3
    assert said[0].startswith("one, two: Each point rests on 2 trainings")
    assert said[1].startswith("All trainings on a data set share one set of test images")
    assert said[2] == "three: 1 of 60 planned trainings has no result, 1 of them failed."


def test_a_caution_is_about_some_points_where_others_have_more(tmp_path: Path) -> None:
    runs = find([synthetic_run(tmp_path / "run", replicates=3, failed=1).folder], baseline=None)
    assert any(text.startswith("Some points rest on 2 trainings") for text in cautions(runs))


@pytest.mark.parametrize(
    ("pool", "advice"),
    [
        (None, "; trials with n = 32 and 64 would say more"),
        (40, "; trials with n = 32 and 40 would say more"),
        (16, "; annotations beyond those there are would say more"),
    ],
)
def test_no_trials_are_advised_that_cannot_be_run(
    tmp_path: Path, pool: int | None, advice: str
) -> None:
    (run,) = find([synthetic_run(tmp_path / "run", pool=pool).folder], baseline=None)
    assert setting_answers(run, 0.9)[0].need.endswith(advice)


def test_facts_count_trainings_images_and_people(tmp_path: Path) -> None:
    runs = find([synthetic_run(tmp_path / "hearts").folder], baseline=None)
    assert facts(runs) == (
        "hearts: 50 trainings on 1 to 16 annotated images, tested on 6 images of 6 subjects. "
        "The 95\u202f% intervals of its forecasts are about new patients, of whom the 6 test "
        "subjects are a sample."
    )


def test_facts_of_one_training_are_singular(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "heart", arms=("none",), sizes=(1,), replicates=1)
    assert facts(find([store.folder], baseline=None)).startswith(
        "heart: 1 training on 1 annotated image, tested on"
    )

"""Which task a study is about, and which cases show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from medscale.data.cases import Task
from medscale.data.cohort import Cohort
from medscale.errors import ConfigError, DataError
from medscale.study.config import StudyConfig
from medscale.study.plan import PluginIdentity
from medscale.study.resolve import choose_tasks, task_rows

LEFT, RIGHT = Task(labels=(1,)), Task(labels=(2,))
MAIN = Task(labels=(3,), main=True)


def config(*tasks: str) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "dataset": "toys",
            "tasks": tasks,
            "arms": "none",
            "backbones": "tiny",
            "recipe": "segmentation",
            "sizes": "1",
        }
    )


def test_named_tasks_are_taken_in_their_order() -> None:
    known = {"left": LEFT, "right": RIGHT, "both": MAIN}
    assert list(choose_tasks(config("right", "left"), known)) == ["right", "left"]


def test_without_a_name_the_main_one_is_taken_and_never_a_guess() -> None:
    assert choose_tasks(config(), {"left": LEFT}) == {"left": LEFT}
    assert choose_tasks(config(), {"left": LEFT, "all": MAIN}) == {"all": MAIN}
    with pytest.raises(ConfigError, match=r"--task is missing: data set toys .* left, right"):
        choose_tasks(config(), {"left": LEFT, "right": RIGHT})


def test_an_unknown_task_names_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="no task 'lefd': did you mean left"):
        choose_tasks(config("lefd"), {"left": LEFT, "right": RIGHT})


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        (
            {"may_be_absent": False},
            "mend its mask, or leave out all such cases (--set toys.may_be_absent=true)",
        ),
        ({"frame": "es"}, "mend its mask or remove the case"),
    ],
)
def test_a_case_without_foreground_says_the_way_out_that_there_is(
    make_cohort: Callable[..., Cohort], options: dict[str, Any], way_out: str
) -> None:
    cohort = make_cohort(["a", "b", "c"])
    labels = cohort.labels.copy()
    labels[1] = 0
    cohort = replace(cohort, labels=labels)
    toys = PluginIdentity(name="toys", behavior=1, options=options)
    with pytest.raises(DataError) as raised:
        task_rows(cohort, "blob", Task(labels=(1,)), toys)
    assert "case1 has no foreground of task 'blob'" in str(raised.value)
    assert str(raised.value).endswith(way_out)
    absent = Task(labels=(1,), may_be_absent=True)
    assert task_rows(cohort, "blob", absent, toys) == ([0, 2], 1)

"""Which task a study is about."""

from __future__ import annotations

import pytest

from medscale.data.cases import Task
from medscale.errors import ConfigError
from medscale.study.config import StudyConfig
from medscale.study.resolve import choose_tasks

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

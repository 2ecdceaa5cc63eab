"""A study: what may be asked for, and what of it is a result's identity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.config import Options, validate
from medscale.errors import ConfigError
from medscale.study.config import (
    FIELD_ROLES,
    Arm,
    RunOptions,
    StudyConfig,
    parse_arm,
    parse_replicates,
)
from medscale.study.groups import OPTION_GROUPS
from medscale.study.plan import GRID_FIELDS, TrialSpec
from medscale.study.presets import PRESETS

_LEAST: dict[str, Any] = {
    "dataset": "toys",
    "arms": "none",
    "backbones": "tiny",
    "recipe": "segmentation",
    "sizes": "1..4",
}


def _study(**changes: Any) -> StudyConfig:
    return validate(StudyConfig, _LEAST | changes, "study")


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("red", Arm("red", ("red",))),
        (" red ", Arm("red", ("red",))),
        ("red+reg", Arm("red+reg", ("red", "reg"))),
        ("red + reg", Arm("red+reg", ("red", "reg"))),
        ("strong=red", Arm("strong", ("red",))),
        ("both = red+reg", Arm("both", ("red", "reg"))),
    ],
)
def test_arms_are_read(text: str, arm: Arm) -> None:
    assert parse_arm(text) == arm


@pytest.mark.parametrize(
    "text", ["", "=", "=red", "strong=", "red+", "+", "-red=red", "a b=red", "ä=red", "x" * 65]
)
def test_other_arms_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--aug got"):
        parse_arm(text)


@given(st.text(max_size=12))
def test_any_text_is_an_arm_or_an_explanation(text: str) -> None:
    try:
        arm = parse_arm(text)
    except ConfigError:
        return
    assert arm.label.isascii()
    assert "/" not in arm.label
    assert all(arm.augmenters)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("5", ((1, 5),)),
        ("20,16:10", ((1, 20), (16, 10))),
        (" 20, 64:5, 16:10 ", ((1, 20), (16, 10), (64, 5))),
        ("1:3", ((1, 3),)),
    ],
)
def test_replicates_are_read(text: str, rules: tuple[tuple[int, int], ...]) -> None:
    assert parse_replicates(text) == rules


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "16:10", "20,16:0", "20,16", "4:1,4:2", "a", "20,:5", "2.5"]
)
def test_other_replicates_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--replicates got"):
        parse_replicates(text)


def test_a_size_has_the_replicates_of_the_last_rule_below_it() -> None:
    study = _study(replicates="20,16:10,64:5")
    assert [study.replicates_at(n) for n in (1, 15, 16, 63, 64, 999)] == [20, 20, 10, 10, 5, 5]


def test_a_study_is_read_from_texts() -> None:
    study = _study(arms="none,strong=red,red+reg", tasks="lv, myo", backbones="a,b", sizes="4,1..2")
    assert study.arms == (
        Arm("none", ("none",)),
        Arm("strong", ("red",)),
        Arm("red+reg", ("red", "reg")),
    )
    assert study.tasks == ("lv", "myo")
    assert study.backbones == ("a", "b")
    assert study.sizes == (1, 2, 4)


def test_what_is_named_twice_is_there_once() -> None:
    study = _study(arms="none,red,none", tasks="lv,lv", backbones="a,b,a", sizes=[4, 1, 4])
    assert [arm.label for arm in study.arms] == ["none", "red"]
    assert (study.tasks, study.backbones, study.sizes) == (("lv",), ("a", "b"), (1, 4))


def test_one_label_is_one_arm() -> None:
    with pytest.raises(ConfigError, match="one label for two arms"):
        _study(arms="x=red,x=reg")


def test_a_study_survives_json() -> None:
    study = _study(
        arms="none,strong=red",
        tasks="lv",
        replicates="20,16:10",
        prepare={"shape": 64},
        plugins={"strong": {"prob": "1"}},
    )
    assert StudyConfig.model_validate_json(study.model_dump_json()) == study
    assert StudyConfig.model_validate(study.model_dump(mode="json")) == study


@pytest.mark.parametrize("field", [*StudyConfig.model_fields])
@pytest.mark.parametrize(
    "value", [None, -1, 0.5, True, "", [], [0], [[1]], [[]], {}, {"a": 1}, [{"a": 1}], [None]]
)
def test_a_value_of_the_wrong_kind_is_explained(field: str, value: Any) -> None:
    # As a study file may hold it. It is refused in one sentence, or it gives a study that runs.
    try:
        study = _study(**{field: value})
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert study.arms
    assert study.backbones
    assert min(study.sizes) >= 1
    assert min(study.replicates_at(size) for size in study.sizes) >= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [0, 1]}, r"study\.sizes got .*at least 1 image"),
        ({"sizes": []}, r"study\.sizes"),
        ({"arms": []}, r"study\.arms"),
        ({"backbones": []}, r"study\.backbones"),
        ({"replicates": [[16, 2]]}, "begin with the number for the smallest sizes"),
        ({"splits": 0}, r"study\.splits got 0"),
        ({"seed": -1}, r"study\.seed got -1"),
        ({"size": "1"}, r"unknown option study\.size: did you mean sizes"),
    ],
)
def test_an_impossible_study_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _study(**changes)


def test_every_field_of_a_study_is_classed() -> None:
    # A new field has to be said to be part of a result's identity, or an axis of the grid.
    assert set(FIELD_ROLES) == set(StudyConfig.model_fields)


def test_every_axis_of_the_grid_is_one_of_a_trial() -> None:
    grid = {field for field, role in FIELD_ROLES.items() if role == "grid"}
    assert grid == {"tasks", "arms", "backbones", "sizes", "replicates", "splits"}
    assert set(GRID_FIELDS) <= set(TrialSpec.model_fields)


def test_how_a_study_is_run_is_no_part_of_a_trial() -> None:
    assert not set(RunOptions.model_fields) & set(StudyConfig.model_fields)
    # "data" of a trial is the hash of the pixels, not the folder that RunOptions means.
    assert set(RunOptions.model_fields) & set(TrialSpec.model_fields) == {"data"}
    assert TrialSpec.model_fields["data"].annotation is str


def test_groups_are_fields_of_a_study() -> None:
    for name, model in OPTION_GROUPS.items():
        assert StudyConfig.model_fields[name].annotation is model


def test_every_preset_is_a_valid_study() -> None:
    for preset in PRESETS.values():
        _study(**preset)


def test_every_option_explains_itself() -> None:
    models: list[type[Options]] = [*OPTION_GROUPS.values(), RunOptions]
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"

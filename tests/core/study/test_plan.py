"""A trial's key names everything that determines its result, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from medscale.data.cohort import Cohort
from medscale.data.options import SplitOptions
from medscale.study.plan import GRID_FIELDS, PlannedTrial, PluginIdentity, TrialSpec, build_plan
from medscale.study.trial import pool_view, trial_rows
from medscale.training.options import AugmentationOptions, TrainingOptions

_RED = PluginIdentity(name="red", behavior=1, options={"prob": 0.1})

_CHANGES: dict[str, Any] = {
    "identity_version": 999,
    "metric_version": 999,
    "dataset": PluginIdentity(name="other", behavior=1, options={}),
    "data": "fedcba9876543210",
    "recipe": PluginIdentity(name="other", behavior=1, options={}),
    "seed": 1,
    "split_options": SplitOptions(test=0.3),
    "training": TrainingOptions(amount=7),
    "augmentation": AugmentationOptions(flip=0.1),
    "task": "other",
    "labels": (1, 2),
    "backbone": PluginIdentity(name="tiny", behavior=1, options={"width": 5}),
    "arm": (_RED,),
    "size": 3,
    "split": 1,
    "replicate": 1,
}


def _plan(**changes: Any) -> tuple[PlannedTrial, ...]:
    template = {
        "dataset": PluginIdentity(name="toys", behavior=1, options={}),
        "data": "0123456789abcdef",
        "recipe": PluginIdentity(name="segmentation", behavior=1, options={}),
        "seed": 0,
        "split_options": SplitOptions(),
        "training": TrainingOptions(),
        "augmentation": AugmentationOptions(),
    }
    arguments: dict[str, Any] = {
        "tasks": {"blob": (1,)},
        "arms": {"none": (PluginIdentity(name="none", behavior=1, options={}),)},
        "backbones": {"tiny": PluginIdentity(name="tiny", behavior=1, options={})},
        "sizes": (1, 2),
        "replicates": {1: 2, 2: 1},
        "splits": 1,
    }
    return build_plan(template, **arguments | changes)


def _keys(plan: tuple[PlannedTrial, ...]) -> set[str]:
    return {trial.spec.key for trial in plan}


def test_every_field_of_a_trial_is_tried_below() -> None:
    assert set(_CHANGES) == set(TrialSpec.model_fields)


@pytest.mark.parametrize("field", [*TrialSpec.model_fields])
def test_every_field_changes_the_key(make_spec: Callable[..., TrialSpec], field: str) -> None:
    before, after = make_spec(), make_spec(**{field: _CHANGES[field]})
    assert before.key != after.key
    assert before.model_copy(update={field: _CHANGES[field]}).key == after.key


@pytest.mark.parametrize(
    "changed",
    [
        PluginIdentity(name="ted", behavior=1, options={"prob": 0.1}),
        PluginIdentity(name="red", behavior=2, options={"prob": 0.1}),
        PluginIdentity(name="red", behavior=1, options={"prob": 0.2}),
        PluginIdentity(name="red", behavior=1, options={"prob": 0.1, "spacing": 5}),
    ],
)
@pytest.mark.parametrize("field", ["dataset", "recipe", "backbone", "arm"])
def test_name_behavior_and_options_of_a_plugin_change_the_key(
    make_spec: Callable[..., TrialSpec], field: str, changed: PluginIdentity
) -> None:
    def spec(plugin: PluginIdentity) -> TrialSpec:
        return make_spec(**{field: (plugin,) if field == "arm" else plugin})

    assert spec(_RED).key != spec(changed).key


@pytest.mark.parametrize(
    ("field", "model"),
    [
        ("training", TrainingOptions),
        ("augmentation", AugmentationOptions),
        ("split_options", SplitOptions),
    ],
)
def test_every_option_of_a_group_changes_the_key(
    make_spec: Callable[..., TrialSpec],
    field: str,
    model: type[TrainingOptions | AugmentationOptions | SplitOptions],
) -> None:
    keys = {make_spec().key}
    for name, default in model().model_dump().items():
        other = {
            "budget": "epochs",
            "loss": "bce",
            "selection": "bce",
            "initialisation": "xavier",
            "start_at_prior": False,
            "histogram": "curve",
        }.get(name, default + 1 if isinstance(default, int) else 0.05)
        keys.add(make_spec(**{field: model.model_validate({name: other})}).key)
    assert len(keys) == 1 + len(model.model_fields)


def test_a_key_survives_json(make_spec: Callable[..., TrialSpec]) -> None:
    spec = make_spec(arm=(_RED,), training=TrainingOptions(learning_rate=1e-4))
    read = TrialSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert read == spec
    assert read.key == spec.key


def test_the_protocol_is_what_the_grid_does_not_vary(make_spec: Callable[..., TrialSpec]) -> None:
    varied = make_spec(**{name: _CHANGES[name] for name in GRID_FIELDS})
    assert varied.protocol() == make_spec().protocol()
    for name in set(TrialSpec.model_fields) - set(GRID_FIELDS):
        assert make_spec(**{name: _CHANGES[name]}).protocol() != make_spec().protocol()


def test_a_plan_is_the_whole_grid() -> None:
    plan = _plan(
        tasks={"a": (1,), "b": (2,)},
        arms={"none": (), "red": (_RED,), "strong": (_RED, _RED)},
        backbones={name: PluginIdentity(name=name, behavior=1, options={}) for name in ("x", "y")},
        sizes=(1, 4),
        replicates={1: 3, 4: 2},
        splits=2,
    )
    assert len(plan) == len(_keys(plan)) == 2 * 3 * 2 * 2 * (3 + 2)
    assert Counter(trial.spec.size for trial in plan) == {1: 72, 4: 48}
    assert Counter(trial.arm for trial in plan) == dict.fromkeys(["none", "red", "strong"], 40)
    assert {trial.spec.labels for trial in plan if trial.spec.task == "b"} == {(2,)}
    assert {len(trial.spec.arm) for trial in plan if trial.arm == "strong"} == {2}


def test_a_whole_replicate_comes_before_the_next() -> None:
    plan = _plan(arms={"none": (), "red": (_RED,)}, sizes=(1, 2), replicates={1: 3, 2: 3})
    assert [trial.spec.replicate for trial in plan] == [0] * 4 + [1] * 4 + [2] * 4
    assert [trial.arm for trial in plan] == ["none", "red"] * 6


@pytest.mark.parametrize(
    "grown",
    [
        {"tasks": {"blob": (1,), "other": (2,)}},
        {
            "arms": {
                "red": (_RED,),
                "none": (PluginIdentity(name="none", behavior=1, options={}),),
            }
        },
        {
            "backbones": {
                "wide": PluginIdentity(name="wide", behavior=1, options={}),
                "tiny": PluginIdentity(name="tiny", behavior=1, options={}),
            }
        },
        {"sizes": (1, 2, 4), "replicates": {1: 2, 2: 1, 4: 1}},
        {"replicates": {1: 5, 2: 5}},
        {"splits": 3},
    ],
)
def test_a_plan_grows_without_touching_what_is_there(grown: dict[str, Any]) -> None:
    assert _keys(_plan()) < _keys(_plan(**grown))


def test_images_seen_measure_the_cost(make_spec: Callable[..., TrialSpec]) -> None:
    def seen(**training: Any) -> int:
        options = TrainingOptions.model_validate({"batch_size": 8, **training})
        return make_spec(training=options, size=10).images_seen()

    assert seen(budget="epochs", amount=50) == 500
    assert seen(budget="steps", amount=50) == 400
    assert seen(budget="samples", amount=401) == 408


@pytest.fixture(scope="module")
def people(make_cohort: Callable[..., Cohort]) -> Cohort:
    return make_cohort([f"p{row // 2:02}" for row in range(60)])


def test_every_arm_and_network_gets_the_same_images(
    make_spec: Callable[..., TrialSpec], people: Cohort
) -> None:
    expected = trial_rows(make_spec(size=8), people)
    for name in ("arm", "backbone", "recipe", "training", "augmentation"):
        assert trial_rows(make_spec(size=8, **{name: _CHANGES[name]}), people) == expected


def test_subsets_of_a_replicate_are_nested(
    make_spec: Callable[..., TrialSpec], people: Cohort
) -> None:
    for replicate in range(3):
        subsets = [
            set(trial_rows(make_spec(size=size, replicate=replicate), people)[1])
            for size in (1, 2, 4, 8, 16)
        ]
        assert [len(subset) for subset in subsets] == [1, 2, 4, 8, 16]
        assert all(small < large for small, large in pairwise(subsets))
    firsts = {trial_rows(make_spec(replicate=r), people)[1] for r in range(5)}
    assert len(firsts) == 5


def test_replicates_share_their_split_and_splits_differ(
    make_spec: Callable[..., TrialSpec], people: Cohort
) -> None:
    splits = [trial_rows(make_spec(replicate=r), people)[0] for r in range(3)]
    assert splits[0] == splits[1] == splits[2]
    assert trial_rows(make_spec(split=1), people)[0] != splits[0]


def test_an_augmenter_never_sees_validation_or_test(
    make_spec: Callable[..., TrialSpec], people: Cohort
) -> None:
    spec = make_spec(size=4)
    split, train = trial_rows(spec, people)
    view = pool_view(spec, people, split, train)
    seen = set(view.indices.tolist())
    assert seen == set(split.pool)
    assert not seen & {*split.test, *split.validation}
    for position, row in enumerate(view.indices.tolist()):
        assert (view.images[position].numpy() == people.images[row]).all()
    # Labels come for the annotated images alone, in their order.
    assert [int(view.indices[position]) for position in view.subset] == list(train)
    assert view.masks.shape == (4, 1, 8, 8)
    assert view.masks.sum() == 4 * 16
    assert view.positions.isnan().all()

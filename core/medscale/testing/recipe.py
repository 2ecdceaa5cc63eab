"""The contract of recipes, as tests on a toy trial."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from medscale.data.cases import Array, Case, Task
from medscale.data.cohort import Cohort, build_cohort
from medscale.identity import array_key, canonical_json
from medscale.protocols import Batch, PoolView, Recipe
from medscale.seeding import seeded_torch
from medscale.study.context import Outcome, TrialContext
from medscale.testing.base import ShapedTests
from medscale.testing.images import blobs
from medscale.testing.state import global_state_untouched
from medscale.training.options import AugmentationOptions, TrainingOptions

Shape = tuple[int, ...]
Make = Callable[[], Any]
Trial = Callable[..., TrialContext]

# Neither sorted nor adjacent, so that a recipe that reorders rows or counts from 0 is noticed.
_TRAIN, _VALIDATION, _TEST = (9, 2, 5, 0), (11, 7), (13, 3, 8)
_POOL = tuple(sorted({*range(16)} - {*_VALIDATION, *_TEST}))


class RecipeTests(ShapedTests):
    """Subclass with `spec`, and options under which a trial is quick.

    The toy trial has 16 small images of a blob (label 2) beside another structure (label 1); the
    task is label 2.

    Attributes:
        shapes: Add a 3-D shape for a recipe that knows 3-D.
        training: Options of training, as `--set train.…` would give them.
    """

    kind: ClassVar[str] = "recipe"
    shapes: ClassVar[tuple[Shape, ...]] = ((16, 16),)
    training: ClassVar[Mapping[str, Any]] = {"amount": 6, "batch_size": 4, "validations": 2}

    @pytest.fixture
    def trial(self, shape: Shape) -> Trial:
        """Make a toy trial, with some fields replaced."""

        def make(**changes: Any) -> TrialContext:
            return replace(_toy_trial(shape, TrainingOptions(**self.training)), **changes)

        return make

    def test_one_row_for_each_test_case(self, plugin: Recipe, trial: Trial) -> None:
        """`cases` has one row for each test case, in order, with case, subject and a score.

        Arms are compared case by case, and intervals are drawn over subjects.

        How to fix: walk through `trial.test` as it is and look each row up in `cohort.cases`.
        """
        context = trial()
        outcome = plugin.run(context)
        assert isinstance(outcome, Outcome), f"run returns a {type(outcome).__name__}"
        expected = [context.cohort.cases[row] for row in context.test]
        assert [(row.get("case"), row.get("subject")) for row in outcome.cases] == [
            (case.id, case.subject) for case in expected
        ]
        for row in outcome.cases:
            assert _numbers(row), f"no score in {row}"

    def test_summary_has_numbers(self, plugin: Recipe, trial: Trial) -> None:
        """`summary` has at least one number.

        It is what learning curves are drawn of.

        How to fix: average the scores over test cases, leaving out None.
        """
        summary = plugin.run(trial()).summary
        assert _numbers(summary), f"no number in {summary}"

    def test_outcome_is_json(self, plugin: Recipe, trial: Trial) -> None:
        """The outcome consists of JSON values; undefined scores are None, never NaN.

        How to fix: call float() on tensors and numpy numbers, and put None for a score that is
        not defined, such as a distance to an empty prediction.
        """
        outcome = plugin.run(trial())
        for part in (outcome.cases, outcome.summary, outcome.history, outcome.weights):
            assert canonical_json(part)
        assert all(math.isfinite(seconds) for seconds in outcome.timing.values())

    def test_trial_is_repeatable(self, make: Make, trial: Trial) -> None:
        """Run twice on the CPU, a trial gives the same outcome to the bit (but for the timing).

        How to fix: seed every generator with `trial.seed("what for")`; keep nothing in the
        instance from one run to the next.
        """
        plugin = make()
        first = _result(plugin.run(trial()))
        assert _result(plugin.run(trial())) == first, "the second run differs"
        assert _result(make().run(trial())) == first, "another instance differs"

    def test_seed_is_used(self, plugin: Recipe, trial: Trial) -> None:
        """Another replicate gives another outcome, from the same initial network.

        Replicates measure the variance of training; without it, intervals would be too narrow.

        How to fix: derive the order of cases and the augmentation from `trial.seed`.
        """
        first, second = (_result(plugin.run(trial(replicate=replicate))) for replicate in (1, 2))
        assert first != second

    def test_progress_rises_to_one(self, plugin: Recipe, trial: Trial) -> None:
        """Progress starts within [0, 1], never falls, and ends at 1.

        How to fix: call `trial.progress(1.0, …)` at the end, after early stopping too.
        """
        seen: list[float] = []
        plugin.run(trial(progress=lambda done, doing: seen.append(done)))
        assert seen, "progress was never called"
        assert all(0 <= done <= 1 for done in seen), f"progress {seen}"
        assert seen == sorted(seen), f"progress falls: {seen}"
        assert seen[-1] == 1, f"progress ends at {seen[-1]}"

    def test_test_cases_do_not_influence_training(self, plugin: Recipe, trial: Trial) -> None:
        """Other images and labels of the test cases leave weights and history as they are.

        A checkpoint that is chosen by looking at the test cases has too good a score.

        How to fix: train on `trial.train`, choose by `trial.validation`, and read `trial.test`
        once, at the end.
        """
        context = trial()
        changed = _scramble(context.cohort, context.test, images=True)
        _assert_same_training(plugin, context, replace(context, cohort=changed))

    def test_only_the_subset_is_annotated(self, plugin: Recipe, trial: Trial) -> None:
        """Labels of cases outside train, validation and test leave everything as it is.

        They stand for images that nobody has annotated.

        How to fix: index the labels with `trial.train`, never with `trial.pool`.
        """
        context = trial()
        used = {*context.train, *context.validation, *context.test}
        rest = tuple(row for row in range(len(context.cohort.cases)) if row not in used)
        other = replace(context, cohort=_scramble(context.cohort, rest))
        assert _result(plugin.run(other)) == _result(plugin.run(context))

    def test_scores_come_from_the_test_labels(self, plugin: Recipe, trial: Trial) -> None:
        """Other labels of the test cases give other scores.

        How to fix: compare the prediction for each row of `trial.test` with that row's label.
        """
        context = trial()
        other = replace(context, cohort=_scramble(context.cohort, context.test))
        assert plugin.run(other).cases != plugin.run(context).cases

    def test_other_structures_do_not_matter(self, plugin: Recipe, trial: Trial) -> None:
        """Labels that the task does not name leave everything as it is.

        How to fix: train and score on `trial.cohort.target(trial.task)`, not on `labels > 0`.
        """
        context = trial()
        labels = context.cohort.labels.copy()
        labels[labels == 1] = 0
        other = replace(context, cohort=_with(context.cohort, labels=labels))
        assert _result(plugin.run(other)) == _result(plugin.run(context))

    def test_arm_augments_training_cases_only(self, plugin: Recipe, trial: Trial) -> None:
        """The arm's augmenters see images in training, and none of validation or test.

        How to fix: pass `trial.augmenters` to `medscale.training`, and give each batch the cohort
        rows that its images came from as `indices`.
        """
        seen = _Watching()
        context = trial(augmenters=(seen,))
        plugin.run(context)
        assert seen.rows, "the arm's augmenter was never called"
        wrong = seen.rows - set(context.pool)
        assert not wrong, f"rows of validation or test were augmented: {sorted(wrong)}"

    def test_cohort_is_left_as_it_is(self, plugin: Recipe, trial: Trial) -> None:
        """Running changes no pixel of the cohort.

        The next trial in the same process reads the same memory.

        How to fix: no in-place operation on tensors made with torch.from_numpy.
        """
        cohort = trial().cohort
        # A cohort is read-only as a rule; a tensor that shares its memory gets round that.
        for array in (cohort.images, cohort.labels, cohort.spacing):
            array.flags.writeable = True
        before = array_key(cohort.images, cohort.labels, cohort.spacing)
        plugin.run(trial(cohort=cohort))
        assert array_key(cohort.images, cohort.labels, cohort.spacing) == before

    def test_global_randomness_is_left_alone(self, make: Make, trial: Trial) -> None:
        """Running uses no global generator and changes no global setting.

        How to fix: wrap code that takes no generator in `medscale.seeding.seeded_torch`, which
        puts the state back.
        """
        context = trial()
        with global_state_untouched():
            make().run(context)


class _Watching:
    """An augmenter that changes nothing and notes the rows that it sees."""

    def __init__(self) -> None:
        self.rows: set[int] = set()

    def fit(self, view: PoolView) -> None:
        """Learn nothing."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Note the rows."""
        self.rows |= set(batch.indices.tolist())
        return batch


def _toy_trial(shape: Shape, training: TrainingOptions) -> TrialContext:
    images, masks = blobs(shape, 16)
    labels = 2 * masks[:, 0].numpy().astype(np.uint8)
    labels[:, :3] = np.where(labels[:, :3] == 0, 1, labels[:, :3])
    cases = tuple(Case(id=f"case{row:02}", subject=f"subject{row:02}") for row in range(16))
    return TrialContext(
        cohort=_cohort(cases, images.numpy(), labels),
        task=Task(labels=(2,)),
        train=_TRAIN,
        validation=_VALIDATION,
        test=_TEST,
        pool=_POOL,
        build_network=functools.partial(_network, len(shape)),
        augmenters=(),
        training=training,
        augmentation=AugmentationOptions(),
        device="cpu",
        replicate=1,
        progress=lambda done, doing: None,
    )


def _network(dims: int) -> nn.Module:
    convolution = nn.Conv2d if dims == 2 else nn.Conv3d
    with seeded_torch(1):
        return nn.Sequential(
            convolution(1, 4, 3, padding=1), nn.ReLU(), convolution(4, 1, 3, padding=1)
        )


def _cohort(cases: tuple[Case, ...], images: Array, labels: Array) -> Cohort:
    spacing = np.ones((len(images), images.ndim - 2))
    keys = tuple(array_key(image) for image in images)
    return build_cohort(cases, images.copy(), labels.copy(), spacing, keys)


def _with(cohort: Cohort, **arrays: Array) -> Cohort:
    """Return the cohort with other images or labels."""
    return _cohort(
        cohort.cases, arrays.get("images", cohort.images), arrays.get("labels", cohort.labels)
    )


def _scramble(cohort: Cohort, rows: tuple[int, ...], *, images: bool = False) -> Cohort:
    """Return the cohort with those rows' labels (and images) turned upside down."""
    labels, pixels = cohort.labels.copy(), cohort.images.copy()
    labels[list(rows)] = 2 - 2 * (labels[list(rows)] == 2)
    if images:
        pixels[list(rows)] = 1 - pixels[list(rows)]
    return _with(cohort, images=pixels, labels=labels)


def _result(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.cases, outcome.summary, outcome.history, outcome.weights


def _assert_same_training(plugin: Recipe, one: TrialContext, other: TrialContext) -> None:
    first, second = plugin.run(one), plugin.run(other)
    if not (first.weights or first.history):
        pytest.skip("capability absent: the outcome tells neither weights nor history")
    assert first.weights == second.weights, "other weights were chosen"
    assert first.history == second.history, "the history differs"


def _numbers(row: Mapping[str, Any]) -> list[float]:
    return [
        value
        for value in row.values()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]

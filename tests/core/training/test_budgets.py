"""What a budget means for n images."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.training.budgets import Schedule, batches, learning_rate_factor, make_schedule
from medscale.training.options import TrainingOptions

_BUDGETS = st.builds(
    TrainingOptions,
    budget=st.sampled_from(["steps", "epochs", "samples"]),
    amount=st.integers(1, 60),
    batch_size=st.integers(1, 12),
    warmup=st.floats(0, 0.99),
    validations=st.integers(1, 30),
)


def _schedule(
    budget: Literal["steps", "epochs", "samples"], amount: int, images: int, **options: int
) -> Schedule:
    return make_schedule(
        TrainingOptions.model_validate({"budget": budget, "amount": amount, **options}), images
    )


def _batches(schedule: Schedule, images: int, batch_size: int, seed: int = 0) -> list[list[int]]:
    order = np.random.default_rng(seed)
    return [batch.tolist() for batch in batches(images, batch_size, schedule, order)]


def test_steps_do_not_depend_on_the_number_of_images() -> None:
    assert [_schedule("steps", 500, n).steps for n in (1, 8, 256)] == [500, 500, 500]


def test_epochs_starve_small_subsets() -> None:
    # 50 passes in batches of 8: one step each up to n = 8, and 32 at n = 256.
    steps = [_schedule("epochs", 50, n, batch_size=8).steps for n in (1, 8, 9, 256)]
    assert steps == [50, 50, 100, 1600]


def test_samples_count_images() -> None:
    assert _schedule("samples", 4000, 1, batch_size=8).steps == 500
    assert _schedule("samples", 4001, 256, batch_size=8).steps == 501
    assert _schedule("samples", 3, 256, batch_size=8).steps == 1


def test_epochs_validate_after_each_pass() -> None:
    schedule = _schedule("epochs", 4, 20, batch_size=8, validations=2)
    assert sorted(schedule.validate_at) == [3, 6, 9, 12]


def test_steps_validate_evenly() -> None:
    assert sorted(_schedule("steps", 100, 5, validations=4).validate_at) == [25, 50, 75, 100]
    assert sorted(_schedule("steps", 3, 5, validations=10).validate_at) == [1, 2, 3]


@given(_BUDGETS, st.integers(1, 40))
def test_the_last_validation_is_at_the_last_step(options: TrainingOptions, images: int) -> None:
    schedule = make_schedule(options, images)
    assert max(schedule.validate_at) == schedule.steps
    assert min(schedule.validate_at) >= 1
    if options.budget == "epochs":
        assert len(schedule.validate_at) == options.amount
    else:
        assert len(schedule.validate_at) == min(options.validations, schedule.steps)


@given(_BUDGETS, st.integers(1, 40), st.integers(0, 9))
def test_batches_are_as_many_as_steps_and_cover_each_pass(
    options: TrainingOptions, images: int, seed: int
) -> None:
    schedule = make_schedule(options, images)
    drawn = _batches(schedule, images, options.batch_size, seed)
    assert len(drawn) == schedule.steps
    seen = [position for batch in drawn for position in batch]
    for start in range(0, len(seen), images):
        one_pass = seen[start : start + images]
        if len(one_pass) == images:
            assert sorted(one_pass) == list(range(images))
        else:
            assert len(set(one_pass)) == len(one_pass)
    if options.budget == "epochs":
        last = images % options.batch_size or min(images, options.batch_size)
        per_epoch = math.ceil(images / options.batch_size)
        assert {len(batch) for batch in drawn[per_epoch - 1 :: per_epoch]} == {last}
        assert len(seen) == images * options.amount
    else:
        assert {len(batch) for batch in drawn} == {options.batch_size}


def test_passes_are_shuffled_anew() -> None:
    drawn = _batches(_schedule("epochs", 6, 10, batch_size=10), 10, 10)
    assert len({tuple(batch) for batch in drawn}) == 6


def test_one_image_fills_a_batch_of_steps() -> None:
    assert _batches(_schedule("steps", 2, 1, batch_size=3), 1, 3) == [[0, 0, 0]] * 2


def test_every_image_is_seen_about_as_often() -> None:
    drawn = _batches(_schedule("steps", 50, 7, batch_size=4), 7, 4)
    counts = Counter(position for batch in drawn for position in batch).values()
    assert max(counts) - min(counts) <= 1


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    schedule = make_schedule(TrainingOptions(amount=100, warmup=0.1), 5)
    factors = [learning_rate_factor(schedule, step) for step in range(100)]
    assert schedule.warmup_steps == 10
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 11)
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[40] == pytest.approx(0.75)  # A third of the way down.
    assert factors[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert learning_rate_factor(schedule, 100) == pytest.approx(0)


def test_without_warm_up_the_first_step_is_the_peak() -> None:
    schedule = make_schedule(TrainingOptions(amount=10, warmup=0), 5)
    assert learning_rate_factor(schedule, 0) == 1


@given(_BUDGETS, st.integers(1, 40))
def test_learning_rates_rise_once_and_stay_positive(options: TrainingOptions, images: int) -> None:
    schedule = make_schedule(options, images)
    factors = np.array([learning_rate_factor(schedule, step) for step in range(schedule.steps)])
    assert (factors > 0).all()
    assert (factors <= 1).all()
    peak = int(factors.argmax())
    assert (np.diff(factors[: peak + 1]) >= 0).all()
    assert (np.diff(factors[peak:]) <= 0).all()

"""Predictions are kept small and come back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from medscale.study.examples import Example, example, ranked, unpacked

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20))


@given(masks)
def test_a_mask_comes_back(mask: Any) -> None:
    kept = example("a", "best", 0.9, mask, mask)
    again = Example.model_validate_json(kept.model_dump_json())
    np.testing.assert_array_equal(unpacked(again), mask)


def test_of_a_volume_the_plane_with_the_most_to_find_is_kept() -> None:
    true, predicted = np.zeros((6, 5, 4), dtype=bool), np.zeros((6, 5, 4), dtype=bool)
    true[:3, :3, 1] = true[:2, :2, 2] = True
    predicted[4, 4, 1] = True
    kept = example("a", "worst", 0.0, predicted, true)
    assert (kept.plane, kept.shape) == (1, (6, 5))
    np.testing.assert_array_equal(unpacked(kept), predicted[..., 1])


def test_an_outline_takes_little_room() -> None:
    disc = np.hypot(*np.mgrid[-64:64, -64:64]) < 30
    assert len(example("a", "best", 0.9, disc, disc).mask) < 500


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.5, 0.1, 0.9, 0.4], {1: "worst", 3: "median", 2: "best"}),
        ([0.5, 0.1, 0.9], {1: "worst", 0: "median", 2: "best"}),
        ([0.5, 0.1], {1: "worst", 0: "best"}),
        ([0.5], {0: "best"}),
    ],
)
def test_a_case_stands_once(dice: list[float], expected: dict[int, str]) -> None:
    assert ranked(dice) == expected

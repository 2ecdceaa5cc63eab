"""The pairs that registration is judged on have the truth that they claim."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.registration_pairs import (
    LARGEST_DISPLACEMENT,
    LEAST_DETERMINANT,
    NOISE,
    acdc_pairs,
    hippocampus_pairs,
    pairs_of_people,
    phantom_pairs,
    warp_labels,
)

from medscale.data.cases import Case, Sample, Task
from medscale.errors import DataError
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import warp


def test_true_displacement_carries_moving_to_fixed() -> None:
    pairs = phantom_pairs(2)
    assert pairs.displacement is not None
    off = (warp(pairs.moving, pairs.displacement) - pairs.fixed).square().mean((1, 2, 3)).sqrt()
    wrong_way = (warp(pairs.moving, -pairs.displacement) - pairs.fixed).square().mean((1, 2, 3))
    assert (off < 1.5 * NOISE).all()
    assert (wrong_way.sqrt() > 3 * NOISE).all()
    assert torch.equal(warp_labels(pairs.moving_labels, pairs.displacement), pairs.fixed_labels)


def test_true_displacement_is_a_diffeomorphism_of_the_image() -> None:
    pairs = phantom_pairs(3)
    assert pairs.displacement is not None
    largest = pairs.displacement.norm(dim=1).flatten(1).amax(1)
    low, high = LARGEST_DISPLACEMENT
    assert ((largest > 0.98 * low) & (largest < 1.02 * high)).all()
    assert jacobian_determinant(pairs.displacement).min() > LEAST_DETERMINANT
    for axis in (2, 3):
        for end in (0, -1):
            assert not pairs.displacement.select(axis, end).any()


def test_fewer_pairs_are_the_first_of_more() -> None:
    few, more = phantom_pairs(1), phantom_pairs(2)
    assert torch.equal(few.moving_labels, more.moving_labels[:1])
    assert few.displacement is not None
    assert more.displacement is not None
    assert torch.equal(few.displacement, more.displacement[:1])
    assert not torch.equal(more.displacement[0], more.displacement[1])


def test_labels_from_outside_are_background() -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.uint8)
    labels[0, :, 4:] = 2
    shift = torch.zeros(1, 2, 8, 8)
    shift[:, 1] = 3
    expected = torch.tensor([1, 2, 2, 2, 2, 0, 0, 0], dtype=torch.uint8).expand(1, 8, 8)
    assert torch.equal(warp_labels(labels, shift), expected)


class _People:
    """Four people of three slices; each pixel value tells who and where. One has no label 2."""

    tasks: Mapping[str, Task] = {"one": Task(labels=(1,)), "two": Task(labels=(2,))}

    def cases(self) -> Sequence[Case]:
        return [
            Case(id=f"p{person}z{index}", subject=f"p{person}", position=position)
            for person in range(4)
            for index, position in enumerate((0.1, 0.45, 0.9))
        ]

    def load(self, case: Case) -> Sample:
        person, index = int(case.id[1]), int(case.id[3])
        image = np.zeros((1, 16, 16), np.float32)
        image[0, person] = 1
        image[0, 8 + index] = 1
        label = np.zeros((16, 16), np.uint8)
        label[:4] = 1
        label[8:] = 1 if person == 3 else 2
        return Sample(image=image, label=label, spacing=(1.0, 1.0))


def test_people_meet_others_in_the_middle() -> None:
    pairs = pairs_of_people("toy", _People(), 16, 5)
    moving, fixed = pairs.moving[:, 0, :, 0], pairs.fixed[:, 0, :, 0]
    for side in (moving, fixed):
        assert (side[:, 9] == 1).all()  # the middle slice
        assert not side[:, 3].any()  # who lacks a structure is left out
    assert not (moving[:, :3] == fixed[:, :3]).all(1).any()
    assert set(moving[:3, :3].argmax(1).tolist()) == {0, 1, 2}
    assert len(pairs) == 5


@pytest.mark.parametrize("data", [None, Path("no_such_folder")])
def test_absent_data_are_an_error_with_advice(data: Path | None) -> None:
    with pytest.raises(DataError, match="MEDSCALE_TEST_DATA"):
        acdc_pairs(2, data)


@pytest.mark.real_data
def test_real_pairs_show_every_label() -> None:
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip("MEDSCALE_TEST_DATA is unset: no real slices to pair")
    for pairs, size, labels in (
        (acdc_pairs(4, Path(data)), 128, (1, 2, 3)),
        (hippocampus_pairs(4, Path(data)), 64, (1, 2)),
    ):
        assert pairs.moving.shape == pairs.fixed.shape == (4, 1, size, size)
        assert pairs.labels == labels
        for side in (pairs.moving_labels, pairs.fixed_labels):
            assert all(set(np.unique(each)) == {0, *labels} for each in side.numpy())
        assert not (pairs.moving == pairs.fixed).flatten(1).all(1).any()

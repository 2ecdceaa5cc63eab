"""The measures of registration are those that their names say."""

from __future__ import annotations

import math

import torch
from benchmarks.registration_measures import measure
from benchmarks.registration_pairs import Pairs

from medscale.fields.warp import warp


def blocks(shift: int) -> Pairs:
    """Return a block of label 1 beside one of label 2, and the same moved down by some rows."""
    labels = torch.zeros(2, 24, 24, dtype=torch.uint8)
    labels[:, 8:12, 6:12], labels[:, 8:12, 12:18] = 1, 2
    labels[1][labels[1] == 2] = 0  # the second pair has one label only
    image = labels[:, None].float() / 2
    truth = torch.zeros(2, 2, 24, 24)
    truth[:, 0] = -shift
    fixed = labels.roll(shift, 1)
    return Pairs(
        name="blocks",
        moving=image,
        fixed=warp(image, truth),
        moving_labels=labels,
        fixed_labels=fixed,
        displacement=truth,
        foreground=fixed > 0,
    )


def test_truth_is_perfect() -> None:
    pairs = blocks(2)
    assert pairs.displacement is not None
    quality = measure(pairs, pairs.displacement, -pairs.displacement, -pairs.displacement)
    assert quality.dice == 1
    assert quality.error == quality.label_error == 0
    assert quality.own_inverse == quality.swap == 0
    assert (quality.folds, quality.fold_share, quality.folded_pairs) == (0, 0, 0)
    assert quality.least_determinant == 1
    assert quality.length == 2


def test_standing_still_is_off_by_the_truth() -> None:
    quality = measure(blocks(2), torch.zeros(2, 2, 24, 24), None, None)
    assert quality.dice == 0.5  # 4 rows that overlap by 2
    assert quality.error == quality.label_error == 2
    assert math.isnan(quality.own_inverse)
    assert math.isnan(quality.swap)


def test_a_wrong_inverse_shows() -> None:
    pairs = blocks(2)
    assert pairs.displacement is not None
    u = pairs.displacement
    assert measure(pairs, u, u, None).own_inverse == 4
    assert measure(pairs, u, None, 0.5 * u[:1]).swap == 3


def test_folds_are_counted_over_all_pairs() -> None:
    displacement = torch.zeros(2, 2, 24, 24)
    displacement[1, 0] = -2 * torch.arange(24).view(-1, 1)  # turns the second picture over
    quality = measure(blocks(0), displacement, None, None)
    assert quality.folds == 24 * 24
    assert quality.fold_share == 0.5
    assert quality.folded_pairs == 1
    assert quality.least_determinant == -1


def test_error_counts_only_where_there_is_something() -> None:
    pairs = blocks(2)
    assert pairs.displacement is not None
    displacement = pairs.displacement.clone()
    displacement[:, :, :6] = 9  # far from the blocks
    assert measure(pairs, displacement, None, None).error == 0

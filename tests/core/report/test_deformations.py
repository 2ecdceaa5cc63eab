"""The quality table says of known deformations what is known of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medscale.fields.comparison import FieldSummary, TwoSamples
from medscale.report.deformations import DeformationQuality, judge, quality_rows
from medscale.testing.images import blobs

SHAPE = (32, 16)
IMAGES = 4


def _along_first(slope: float, shape: tuple[int, int] = SHAPE) -> Tensor:
    """Return (2, *shape) displacements that grow along the first axis: det is 1 + slope.

    They are in voxels of `SHAPE`, whatever the grid, and zero at its first voxel.
    """
    field = torch.zeros(2, *shape)
    place = (torch.arange(shape[0]) + 0.5) * SHAPE[0] / shape[0] - 0.5
    field[0] = slope * place[:, None]
    return field


def _known(shape: tuple[int, int] = SHAPE) -> Tensor:
    """Return (I, 4, 2, *shape): one that folds everywhere, one that doubles, two identities."""
    every = [_along_first(slope, shape) for slope in (-2.0, 1.0, 0.0, 0.0)]
    return torch.stack(every).expand(IMAGES, -1, -1, -1, -1).contiguous()


def _doubling() -> Tensor:
    return _along_first(1.0).expand(IMAGES, 4, -1, -1, -1).contiguous()


def _judge(sampled: Tensor, registered: Tensor, others: Tensor | None = None) -> DeformationQuality:
    images = blobs(SHAPE, IMAGES)[0]
    generator = torch.Generator().manual_seed(0)
    return judge(sampled, registered, images, images if others is None else others, generator)


@pytest.mark.parametrize("grid", [SHAPE, (16, 8), (8, 4)])
def test_numbers_of_known_deformations_whatever_their_grid(grid: tuple[int, int]) -> None:
    quality = _judge(_known(grid), _doubling())
    rms = math.sqrt(np.mean(np.arange(SHAPE[0]) ** 2)) / max(SHAPE)
    sampled, registered = quality.sampled, quality.registered
    assert sampled.folding == 0.25
    # Of what does not fold, a third doubles (log2 is 1), and two thirds stay (0).
    assert sampled.jacobian_spread == pytest.approx(math.sqrt(2) / 3, abs=1e-3)
    assert sampled.roughness == pytest.approx(math.sqrt((4 + 1) / 4), rel=1e-4)
    assert sampled.length == pytest.approx(rms * math.sqrt((4 + 1) / 4), rel=1e-4)
    # Slopes of two of them differ by 3, 2, 2, 1, 1 and 0.
    assert sampled.diversity == pytest.approx(rms * 9 / 6, rel=1e-4)
    assert registered.folding == registered.diversity == 0
    assert registered.jacobian_spread == pytest.approx(0, abs=1e-4)
    assert (registered.roughness, registered.length) == pytest.approx((1, rms), rel=1e-4)


def test_equal_deformations_are_at_no_distance() -> None:
    quality = _judge(_known(), _known())
    assert quality.fields.distance == pytest.approx(0, abs=1e-5)
    # Some ways to deal out their labels give the same two sets again.
    assert quality.fields.probability > 0.9
    assert quality.sampled_images.distance == quality.registered_images.distance


def test_deformations_that_have_nothing_in_common_are_as_far_as_can_be() -> None:
    shifts = (torch.zeros(2, *SHAPE), torch.full((2, *SHAPE), 3.0))
    sampled, registered = (each.expand(IMAGES, 4, -1, -1, -1) for each in shifts)
    quality = _judge(sampled, registered)
    assert quality.fields.distance == pytest.approx(1, abs=1e-4)
    assert quality.fields.probability == pytest.approx(1 / 201)
    # Labels dealt out anew leave no such gap.
    assert quality.fields.expected < 0.3


def test_images_that_stay_are_of_the_pool_and_those_that_leave_the_frame_are_not() -> None:
    still = torch.zeros(IMAGES, 4, 2, *SHAPE)
    gone = torch.full((IMAGES, 4, 2, *SHAPE), 2.0 * max(SHAPE))
    quality = _judge(gone, still)
    assert quality.registered_images.distance == pytest.approx(0, abs=1e-5)
    assert quality.registered_images.probability == 1
    assert quality.sampled_images.distance > 0.5
    assert quality.sampled_images.probability < 0.1


def test_the_table_has_a_row_for_each_measure() -> None:
    summary = FieldSummary(
        folding=0.0125, jacobian_spread=0.5, roughness=0.25, length=0.125, diversity=0.0625
    )
    other = FieldSummary(folding=0, jacobian_spread=1, roughness=2, length=3, diversity=4)
    quality = DeformationQuality(
        sampled=summary,
        registered=other,
        fields=TwoSamples(distance=0.1, expected=0.05, probability=0.01),
        sampled_images=TwoSamples(distance=0.2, expected=0.05, probability=0.25),
        registered_images=TwoSamples(distance=0.3, expected=0.05, probability=0.5),
    )
    assert quality_rows(quality) == [
        ("folded voxels", "1.2500\u202f%", "0.0000\u202f%"),
        ("spread of log2 det ∇φ", "0.500", "1.000"),
        ("gradient of the displacement", "0.250", "2.000"),
        ("displacement, share of the image", "0.125", "3.000"),
        ("distance within an image", "0.062", "4.000"),
        ("distance of sampled to registered", "0.100", "0.050 by chance"),
        ("distance of warped images to the pool", "0.200 (p = 0.25)", "0.300 (p = 0.50)"),
    ]

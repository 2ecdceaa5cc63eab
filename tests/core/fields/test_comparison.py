"""Comparing sets of deformations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medscale.fields.comparison import compare, summarise
from medscale.fields.jacobian import folding_share


def _fields(images: int, each: int, scale: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(images, each, 2, 12, 16, generator=generator)


def test_numbers_of_a_known_set() -> None:
    # A stretch by 2 along the first axis, and the identity.
    stretch = torch.zeros(2, 12, 16)
    stretch[0] = torch.arange(12.0)[:, None]
    found = summarise(torch.stack([stretch, torch.zeros_like(stretch)])[None])
    assert found.folding == 0
    # log2 det is 1 in one half of the pixels, 0 in the other.
    assert found.jacobian_spread == pytest.approx(0.5, abs=2e-3)
    assert found.roughness == pytest.approx(math.sqrt(0.5))
    length = float(stretch[0].square().mean().sqrt())
    assert found.length == pytest.approx(length / math.sqrt(2) / 16)
    assert found.diversity == pytest.approx(length / 16)


def test_folds_are_counted() -> None:
    fields = _fields(3, 4, 1.0, 0)
    expected = float(folding_share(fields.flatten(0, 1)).mean())
    assert summarise(fields).folding == pytest.approx(expected)
    assert expected > 0.01


def test_one_deformation_of_an_image_has_no_diversity() -> None:
    assert summarise(_fields(3, 1, 0.1, 0)).diversity == 0


def test_equal_distributions_are_not_told_apart() -> None:
    chances = [
        compare(
            _fields(6, 5, 1, seed),
            _fields(6, 5, 1, seed + 100),
            torch.Generator().manual_seed(seed),
        ).probability
        for seed in range(20)
    ]
    assert sum(chance < 0.05 for chance in chances) <= 4
    assert 0.2 < sum(chances) / len(chances) < 0.8


@pytest.mark.parametrize("change", ["collapsed", "longer", "shifted"])
def test_other_distributions_are_told_apart(change: str) -> None:
    first, second = _fields(6, 5, 1, 0), _fields(6, 5, 1, 1)
    if change == "collapsed":
        second = second[:, :1].expand_as(second)
    elif change == "longer":
        second = 2 * second
    else:
        second = second + 0.5
    found = compare(first, second, torch.Generator().manual_seed(0))
    assert found.probability < 0.02
    assert found.distance > 1.2 * found.expected


def test_what_groups_differ_in_counts_for_neither_side() -> None:
    offset = 100 * torch.randn(6, 1, 2, 12, 16, generator=torch.Generator().manual_seed(9))
    found = compare(
        _fields(6, 5, 1, 0) + offset,
        _fields(6, 5, 1, 1) + offset,
        torch.Generator().manual_seed(0),
    )
    assert found.probability > 0.05

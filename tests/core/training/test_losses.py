"""Losses, against the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from medscale.training.losses import loss
from medscale.training.options import TrainingOptions

_BCE = TrainingOptions(loss="bce")
_BOTH = TrainingOptions(loss="bce_dice")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 1, 6, 7, generator=generator)
    return logits, (torch.rand(3, 1, 6, 7, generator=generator) > 0.7).float()


def test_binary_cross_entropy_is_the_mean_over_all_voxels(batch: tuple[Tensor, Tensor]) -> None:
    logits, masks = (part.double().numpy() for part in batch)
    shares = 1 / (1 + np.exp(-logits))
    expected = -(masks * np.log(shares) + (1 - masks) * np.log(1 - shares)).mean()
    assert float(loss(*batch, _BCE)) == pytest.approx(expected, rel=1e-5)


def test_soft_dice_is_taken_image_by_image(batch: tuple[Tensor, Tensor]) -> None:
    logits, masks = (part.double().flatten(1).numpy() for part in batch)
    shares = 1 / (1 + np.exp(-logits))
    dice = (2 * (shares * masks).sum(1) + 1) / (shares.sum(1) + masks.sum(1) + 1)
    expected = float(loss(*batch, _BCE)) + 1 - dice.mean()
    assert float(loss(*batch, _BOTH)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [_BCE, _BOTH])
def test_a_sure_and_right_network_loses_nothing(
    batch: tuple[Tensor, Tensor], options: TrainingOptions
) -> None:
    masks = batch[1]
    right = (2 * masks - 1) * 100
    assert float(loss(right, masks, options)) == pytest.approx(0, abs=1e-6)
    assert float(loss(-right, masks, options)) > 50


def test_an_empty_truth_is_no_division_by_zero() -> None:
    masks = torch.zeros(2, 1, 4, 4)
    assert float(loss(masks - 100, masks, _BOTH)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("options", [_BCE, _BOTH])
def test_huge_logits_keep_finite_gradients(options: TrainingOptions) -> None:
    logits = torch.tensor([[[[1e4, -1e4], [1e4, -1e4]]]]).requires_grad_()
    masks = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    value = loss(logits, masks, options)
    value.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()

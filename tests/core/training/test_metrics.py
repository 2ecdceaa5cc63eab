"""Scores of cases, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medscale.training.loop import Cases, evaluate
from medscale.training.metrics import case_scores


def _case(rows: list[str]) -> Tensor:
    """Return a mask (1, 1, H, W) drawn with # for foreground."""
    return torch.tensor([[float(sign == "#") for sign in row] for row in rows])[None, None]


def test_dice_is_counted_by_hand() -> None:
    true = _case(["##..", "##..", "....", "...."])
    predicted = _case([".##.", ".##.", ".##.", "...."])
    scores = case_scores(2 * predicted - 1, true)
    # Two voxels in both, 6 predicted, 4 true.
    assert scores["dice"].tolist() == [pytest.approx(2 * 2 / (6 + 4))]
    assert scores["predicted"].tolist() == [6 / 16]
    assert scores["true"].tolist() == [4 / 16]


@pytest.mark.parametrize(
    ("predicted", "true", "dice"),
    [("....", "....", 1.0), ("#...", "....", 0.0), ("....", "#...", 0.0), ("##..", "##..", 1.0)],
)
def test_empty_masks_have_a_dice(predicted: str, true: str, dice: float) -> None:
    scores = case_scores(_case([predicted]) - 0.5, _case([true]))
    assert scores["dice"].tolist() == [dice]


def test_a_probability_of_one_half_is_background() -> None:
    assert case_scores(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))["predicted"].item() == 0


@settings(deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 6), min_size=2, max_size=3),
    st.floats(0.0, 1.0),
)
def test_scores_are_those_of_each_case_alone(seed: int, shape: list[int], share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(3, 1, *shape, generator=generator)
    masks = (torch.rand(3, 1, *shape, generator=generator) < share).float()
    scores = case_scores(logits, masks)
    for row in range(3):
        z, y = logits[row].double().numpy(), masks[row].double().numpy()
        p = 1 / (1 + np.exp(-z))
        bce = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        both, total = ((z > 0) * y).sum(), (z > 0).sum() + y.sum()
        # torch takes the logarithm of 1 + a small number, in single precision.
        assert float(scores["bce"][row]) == pytest.approx(bce, rel=1e-4, abs=1e-6)
        assert float(scores["dice"][row]) == pytest.approx(2 * both / total if total else 1)
        assert 0 <= scores["dice"][row] <= 1


class _Echo(nn.Module):
    """A network whose logits are its input."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_many_cases_keep_their_order() -> None:
    # Case i predicts its first i voxels; 37 cases are more than two batches of the evaluation.
    images = torch.full((37, 1, 7, 7), -1.0)
    for count in range(37):
        images[count].view(-1)[:count] = 1
    cases = Cases(images=images, masks=torch.zeros_like(images), rows=torch.arange(37))
    starts: list[int] = []
    masks: list[Tensor] = []

    def inspect(start: int, predicted: Tensor) -> None:
        starts.append(start)
        masks.append(predicted)

    network = _Echo()
    scores = evaluate(network, cases, inspect)
    assert not network.training
    torch.testing.assert_close(scores["predicted"], torch.arange(37) / 49)
    assert torch.equal(torch.cat(masks), images > 0)
    assert starts == np.cumsum([0] + [len(part) for part in masks[:-1]]).tolist()

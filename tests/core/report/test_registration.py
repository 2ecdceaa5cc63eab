"""Overlap of labels, and pictures of pairs."""

from __future__ import annotations

import numpy as np
import torch

from medscale.report.registration import PairPicture, dice, registration_sheet


def test_dice() -> None:
    first = torch.zeros(4, 1, 4, 4)
    second = torch.zeros(4, 1, 4, 4)
    first[0, 0, :2] = second[0, 0, :2] = 1
    first[1, 0, :2] = 1
    second[1, 0, 1:3] = 1
    first[2, 0, 0] = 1
    overlap = dice(first, second)
    torch.testing.assert_close(overlap[:3], torch.tensor([1.0, 0.5, 0.0]))
    assert overlap[3].isnan()  # nothing to find, and nothing found: no number


def test_a_sheet_has_a_row_for_each_pair() -> None:
    disc = (np.hypot(*np.mgrid[-8:8, -8:8]) < 5).astype(np.float32)
    pair = PairPicture(
        title="one to other",
        moving=(disc, disc),
        fixed=(disc, disc),
        warped=(disc, disc),
        displacement=np.zeros((2, 16, 16), dtype=np.float32),
        determinant=np.ones((16, 16), dtype=np.float32),
    )
    figure = registration_sheet("title", [pair, pair])
    assert len(figure.axes) == 12
    assert "fixed, in its pose" in [axes.get_title() for axes in figure.axes]

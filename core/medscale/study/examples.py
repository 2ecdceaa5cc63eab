"""Predictions that a trial keeps for pictures: few, and each a few hundred bytes of text."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from medscale.config import Options
from medscale.data.cases import Array


class Example(Options):
    """The prediction for one test case; of a volume, one plane across its last axis."""

    case: str = Field(description="id of the test case")
    rank: str = Field(description="worst, median or best of the trial's test cases, by Dice")
    dice: float = Field(description="of the whole case")
    plane: int | None = Field(description="index along the last axis; None in 2-D")
    shape: tuple[int, int] = Field(description="pixels of the plane")
    mask: str = Field(description="the plane's bits, row by row: zlib, then Base64")


def ranked(dice: Sequence[float]) -> dict[int, str]:
    """Return the places of the test cases to keep, each with its rank; with one or two, fewer."""
    order = np.argsort(dice, kind="stable").tolist()
    return {order[(len(order) - 1) // 2]: "median", order[0]: "worst", order[-1]: "best"}


def example(case: str, rank: str, dice: float, predicted: Array, true: Array) -> Example:
    """Pack a prediction.

    Args:
        case: Id of the test case.
        rank: "worst", "median" or "best".
        dice: Its Dice.
        predicted: Boolean mask, 2-D or 3-D.
        true: The annotated mask, which chooses the plane of a volume: where it is largest.
    """
    plane = None
    if predicted.ndim == 3:
        plane = int(true.sum(axis=(0, 1)).argmax())
        predicted = predicted[..., plane]
    bits = np.packbits(predicted.astype(bool)).tobytes()
    return Example(
        case=case,
        rank=rank,
        dice=dice,
        plane=plane,
        shape=(predicted.shape[0], predicted.shape[1]),
        mask=base64.b64encode(zlib.compress(bits, 9)).decode("ascii"),
    )


def unpacked(kept: Example) -> Array:
    """Return the mask of an example, boolean (H, W)."""
    height, width = kept.shape
    bits = np.frombuffer(zlib.decompress(base64.b64decode(kept.mask)), dtype=np.uint8)
    mask: Array = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
    return mask

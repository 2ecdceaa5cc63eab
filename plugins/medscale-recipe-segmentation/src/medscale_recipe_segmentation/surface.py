"""Surface distances of predicted masks, through MONAI."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice
from torch import Tensor


def surface_scores(
    predicted: Tensor, true: Tensor, spacing: Sequence[float], tolerance: float
) -> dict[str, float | None]:
    """Score one case.

    Args:
        predicted: (1, *S) boolean.
        true: (1, *S) boolean.
        spacing: Voxel size in mm.
        tolerance: Of the normalised surface Dice, mm.

    Returns:
        `hd95` in mm and `nsd` in [0, 1]. Without a prediction `hd95` is None and `nsd` 0, as no
        surface is matched; without a true surface both are None.
    """
    if not bool(predicted.any()) or not bool(true.any()):
        return {"hd95": None, "nsd": None if not bool(true.any()) else 0.0}
    pair = (predicted[None].float(), true[None].float())
    size = list(spacing)
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=size)
    nsd = compute_surface_dice(
        *pair, class_thresholds=[tolerance], include_background=True, spacing=size
    )
    return {"hd95": _number(hd95), "nsd": _number(nsd)}


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None

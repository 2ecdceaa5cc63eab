"""What registration did: overlap of labels before and after, and pictures of pairs.

Labels judge here and do nothing else: no registration, gate or augmenter ever sees those of
external images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from medscale.data.cases import Array
from medscale.fields.alignment import align, resample
from medscale.fields.jacobian import folding_share
from medscale.fields.registration import PairRegistration
from medscale.fields.warp import warp
from medscale.protocols import PoolView, Registrar
from medscale.report.samples import show_image, show_map

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class PairOverlap:
    """How well labels of P pairs overlap: Dice of the moving and the fixed image's.

    Attributes:
        before: (P,) as the images lie.
        aligned: (P,) with the fixed image in the pose of the moving one.
        after: (P,) with the moving label carried along as well; NaN where registration failed.
        folds: (P,) share of voxels that fold; NaN where registration failed.
    """

    before: Array
    aligned: Array
    after: Array
    folds: Array


@dataclass(frozen=True, kw_only=True)
class PairPicture:
    """One registered pair; 2-D, or the middle slice of a volume.

    Attributes:
        title: The two cases.
        moving: (H, W) and its mask.
        fixed: The same, in the pose of the moving image.
        warped: The moving image and its mask, carried to the fixed one.
        displacement: (2, H, W) in pixels.
        determinant: (H, W) of the map.
    """

    title: str
    moving: tuple[Array, Array]
    fixed: tuple[Array, Array]
    warped: tuple[Array, Array]
    displacement: Array
    determinant: Array


@torch.no_grad()
def measure_overlap(
    registration: PairRegistration,
    view: PoolView,
    pairs: Sequence[tuple[int, int]],
    masks: Array,
    progress: Callable[[int, int], None],
) -> PairOverlap:
    """Carry labels along stored deformations.

    Args:
        registration: Whose store holds the pairs.
        view: The pool.
        pairs: Source and target of each, as places in the pool.
        masks: (N, *S) the pool's masks, 0 or 1.
        progress: Told of pairs.
    """
    store, registrar = registration.store(view), registration.registrar.plugin
    rows: list[Tensor] = []
    for start in range(0, len(pairs), _BATCH):
        part = pairs[start : start + _BATCH]
        stored = [store.read(view.keys[s], [view.keys[t]]) for s, t in part]
        codes = torch.from_numpy(np.concatenate([pair.codes for pair in stored]))
        failed = torch.tensor([bool(pair.failed[0]) for pair in stored])
        moving, fixed = (view.take([pair[side] for pair in part]) for side in (0, 1))
        moving_masks, fixed_masks = (
            torch.from_numpy(masks[[pair[side] for pair in part]])[:, None].float()
            for side in (0, 1)
        )
        posed = in_pose(registration, moving, fixed, fixed_masks)
        field = carried(registrar, codes, failed, tuple(moving.shape[2:]))
        after = dice(warp(moving_masks, field) >= 0.5, posed)
        folds = folding_share(field)
        after[failed] = folds[failed] = torch.nan
        rows.append(
            torch.stack([dice(moving_masks, fixed_masks), dice(moving_masks, posed), after, folds])
        )
        progress(start + len(part), len(pairs))
    before, aligned, after, folds = torch.cat(rows, dim=1).numpy()
    return PairOverlap(before=before, aligned=aligned, after=after, folds=folds)


def in_pose(registration: PairRegistration, moving: Tensor, fixed: Tensor, other: Tensor) -> Tensor:
    """Bring what belongs to the fixed images, such as masks, into the pose of the moving ones."""
    if registration.alignment == "none":
        return other
    matrix = align(moving, fixed, kind=registration.alignment)
    return (resample(other, matrix, padding="zeros") >= 0.5).to(other.dtype)


def carried(registrar: Registrar, codes: Tensor, failed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return displacements (B, D, *shape), zero where registration failed."""
    usable = torch.where(failed.view(-1, *[1] * (codes.ndim - 1)), 0.0, codes)
    return registrar.displacement(codes=usable, shape=shape)


def dice(first: Tensor, second: Tensor) -> Tensor:
    """Return (B,) the Dice coefficient of masks (B, 1, *S); NaN where both are empty."""
    one, other = first.flatten(1).float(), second.flatten(1).float()
    total: Tensor = one.sum(1) + other.sum(1)
    return torch.where(total > 0, 2 * (one * other).sum(1) / total, torch.nan)


def registration_sheet(title: str, pairs: Sequence[PairPicture]) -> Figure:
    """Draw a pair a row: moving, fixed, warped, the differences before and after, the map.

    The warped image carries the moving mask's contour in orange and the fixed one's in blue: where
    they coincide, registration carried the label well.
    """
    headings = ("moving", "fixed, in its pose", "warped", "before", "after", "map")
    figure = Figure(figsize=(1.9 * len(headings), 2.0 * len(pairs) + 0.4))
    axes = figure.subplots(len(pairs), len(headings), squeeze=False)
    for pair, line in zip(pairs, axes, strict=True):
        show_image(line[0], *pair.moving)
        show_image(line[1], *pair.fixed, color="#0072B2")
        show_image(line[2], *pair.warped)
        _contour(line[2], pair.fixed[1], "#0072B2")
        _difference(line[3], pair.moving[0] - pair.fixed[0])
        _difference(line[4], pair.warped[0] - pair.fixed[0])
        show_map(line[5], pair.displacement, pair.determinant)
        line[0].text(0, -0.03, pair.title, transform=line[0].transAxes, fontsize=6, va="top")
    for column, heading in enumerate(headings):
        axes[0, column].set_title(heading, fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    return figure


def _contour(axes: Axes, mask: Array, color: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=color, linewidths=0.9)


def _difference(axes: Axes, difference: Array) -> None:
    axes.imshow(difference, cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_axis_off()

"""Contact sheets: what an augmenter does to images, masks, grids and volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medscale.data.cases import Array

_GRID_LINES = 16
_JACOBIAN_RANGE = (-1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One case and its augmented samples; 2-D, or the middle slice of a volume.

    Attributes:
        title: The case.
        image: (H, W) the original.
        mask: (H, W) its mask.
        images: (K, H, W) samples, no more than the first case has.
        masks: (K, H, W) their masks.
        displacements: (K, 2, H, W) in pixels, or None where the augmenter is no deformation.
        determinants: (K, H, W) of the map, or None.
    """

    title: str
    image: Array
    mask: Array
    images: Array
    masks: Array
    displacements: Array | None
    determinants: Array | None


def contact_sheet(title: str, rows: Sequence[SampleRow]) -> Figure:
    """Draw cases down and samples across; beneath each deformed sample its grid and Jacobian.

    The grid shows where each output line looks in the original (pull-back); the Jacobian map is
    log2 det ∇φ, blue where tissue shrinks in the sample, red where it grows, grey where it folds.
    """
    samples = len(rows[0].images)
    deforms = any(row.displacements is not None for row in rows)
    per_case = 2 if deforms else 1
    figure = Figure(figsize=(1.7 * (1 + samples * per_case), 1.9 * len(rows) + 0.4))
    axes = figure.subplots(len(rows), 1 + samples * per_case, squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        show_image(line[0], row.image, row.mask)
        line[0].set_title(row.title, fontsize=7)
        for axis in line:
            axis.set_axis_off()
        for number in range(len(row.images)):
            show_image(line[1 + number], row.images[number], row.masks[number])
            if row.displacements is None or row.determinants is None:
                continue
            show_map(
                line[1 + samples + number], row.displacements[number], row.determinants[number]
            )
    for number in range(samples):
        axes[0, 1 + number].set_title(f"sample {number + 1}", fontsize=7)
        if deforms:
            axes[0, 1 + samples + number].set_title(f"map {number + 1}", fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    return figure


def show_image(axes: Axes, image: Array, mask: Array, *, color: str = "#E69F00") -> None:
    """Draw an image (H, W) with the contour of its mask."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=color, linewidths=0.9)
    axes.set_axis_off()


def show_map(axes: Axes, displacement: Array, determinant: Array) -> None:
    """Draw the grid of a displacement (2, H, W) over its log Jacobian; see `contact_sheet`."""
    height, width = determinant.shape
    low, high = _JACOBIAN_RANGE
    # φ pulls back, so a determinant above 1 looks at more tissue than its pixel: shrinkage.
    growth = -np.log2(np.clip(determinant, 2.0**low / 2, 2.0**high * 2))
    axes.imshow(growth, cmap="RdBu_r", vmin=low, vmax=high, interpolation="nearest")
    folded = np.ma.masked_where(determinant > 0, np.ones_like(determinant))
    axes.imshow(folded, cmap="gray", vmin=0, vmax=2, interpolation="nearest")
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    step = max(1, min(height, width) // _GRID_LINES)
    y, x = rows + displacement[0], columns + displacement[1]
    for i in range(step // 2, height, step):
        axes.plot(x[i], y[i], color="black", linewidth=0.4)
    for j in range(step // 2, width, step):
        axes.plot(x[:, j], y[:, j], color="black", linewidth=0.4)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_axis_off()

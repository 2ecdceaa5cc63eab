"""Whether the NIfTI images of a folder lie alike, from their headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from medscale.data.nifti import SPATIAL_AXES, Geometry, ras_order
from medscale.errors import DataError

_LARGEST_TILT = 30.0
"""In degrees. At 45 an axis is as near to one direction of the body as to another, and images of
one kind would be turned in different ways."""

_SPACING_RATIO = 2.0


def axis_order(geometry: Geometry, *, turn: bool) -> tuple[int, ...]:
    """Return which axes of the file the spatial axes of the image are, in this order.

    Args:
        geometry: Of the image's file.
        turn: Whether images are turned to RAS.
    """
    axes = len(geometry.spacing)
    if geometry.orientation is None or not turn:
        return tuple(range(axes))
    return ras_order(geometry.orientation[:axes])


def check_orientations(
    images: Mapping[str, Path],
    geometries: Mapping[str, Geometry],
    *,
    turn: bool,
    log: Callable[[str], None],
) -> None:
    """Say where images are stored in different orientations, and what becomes of them.

    Args:
        images: Image files by stem.
        geometries: Of the NIfTI files among them, by stem.
        turn: Whether they are turned to RAS.
        log: Takes one line for the person who is watching.

    Raises:
        DataError: If they are to be turned, but are so oblique that it is not clear to where.
    """
    stated: dict[str, str] = {}
    for stem, geometry in geometries.items():
        if geometry.orientation is not None:
            stated[stem] = geometry.orientation
    examples = {orientation: images[stem].name for stem, orientation in stated.items()}
    counts = Counter(stated.values()).most_common()
    found = ", ".join(f"{n} {codes} such as {examples[codes]}" for codes, n in counts)
    if turn and len(counts) > 1:
        stem = max(stated, key=lambda stem: geometries[stem].tilt)
        if geometries[stem].tilt > _LARGEST_TILT:
            raise DataError(
                f"{images[stem]} is tilted by {geometries[stem].tilt:.0f}° against the axes of the "
                f"body and images are stored in different orientations ({found}), expected at most "
                f"{_LARGEST_TILT:g}° to turn them all to RAS; where all are acquired and stored "
                "alike, such as short-axis stacks, pass --set folder.orientation=stored, else "
                "resample them to one grid"
            )
    if len(counts) > 1:
        what = "all are turned to RAS" if turn else "none is turned, so axes differ between them"
        log(f"NIfTI images are stored in different orientations ({found}): {what}")
    silent = [stem for stem in geometries if stem not in stated]
    if turn and silent and set(stated.values()) - {"RAS"}:
        log(
            f"{len(silent)} of {len(geometries)} NIfTI images do not state their orientation, such "
            f"as {images[silent[0]].name}: these are taken as stored, and the others turned to "
            "RAS; check that they look alike with `medscale preview`"
        )


def check_spacings(
    images: Mapping[str, Path],
    geometries: Mapping[str, Geometry],
    *,
    turn: bool,
    cut_axis: int | None,
    log: Callable[[str], None],
) -> None:
    """Say where voxel sizes differ so much between images that structures may, too."""
    for place in range(SPATIAL_AXES):
        sizes: dict[str, float] = {}
        for stem, geometry in geometries.items():
            order = axis_order(geometry, turn=turn)
            # An axis that is cut or dropped is none of the image's.
            if place < len(order) and place != cut_axis and geometry.shape[order[place]] > 1:
                sizes[stem] = geometry.spacing[order[place]]
        if not sizes:
            continue
        low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        if sizes[high] > _SPACING_RATIO * sizes[low]:
            log(
                f"voxels are {sizes[low]:g} mm long in {images[low].name} and {sizes[high]:g} mm "
                f"in {images[high].name} (axis {place}), and every image is resampled to one "
                "shape: check with `medscale preview` that structures look alike"
            )
            return

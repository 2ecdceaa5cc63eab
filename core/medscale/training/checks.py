"""What augmenters return, checked before it is trained on.

Places that are no numbers sample nothing: the images would be blank, the loss would fall all the
same, and the arm would have a curve.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medscale.errors import PluginError
from medscale.fields.interpolation import Spline
from medscale.protocols import Augmenter, Batch

_FARTHEST = 2.0
"""In longest sides of the image: no deformation moves anything so far, but another unit does."""


def checked_field(field: Tensor, augmenter: Augmenter, batch: Batch) -> Tensor:
    """Return displacements that may be applied to a batch.

    Args:
        field: What the augmenter returned, expected (B, D, *G) in voxels of the image.
        augmenter: Named in the error.
        batch: What it was asked for.

    Raises:
        PluginError: If they are of another type or shape, or no sensible numbers.
    """
    count, dims = len(batch.images), batch.images.ndim - 2
    if not isinstance(field, Tensor) or not field.is_floating_point():
        raise _refusal(augmenter, "displacements", _described(field), "a floating-point tensor")
    if field.ndim != dims + 2 or field.shape[:2] != (count, dims):
        axes = "×".join("G" * dims)
        expected = f"{count}×{dims}×{axes}: a displacement in {dims} axes for {count} images"
        raise _refusal(augmenter, "displacements", _described(field), expected)
    _check_reach(field, augmenter, batch)
    return field


def checked_spline(spline: Spline | None, augmenter: Augmenter, batch: Batch) -> Spline | None:
    """Return a spline of displacements that may be applied to a batch, or None.

    Raises:
        PluginError: If it is of another shape than the batch, or holds no sensible numbers.
    """
    if spline is None:
        return None
    count, shape = len(batch.images), tuple(batch.images.shape[2:])
    sizes = tuple(band.size for band in spline.bands) if isinstance(spline, Spline) else ()
    if sizes != shape or spline.values.shape[:2] != (count, len(shape)):
        expected = f"a Spline of {len(shape)} axes and the shape {_times(shape)} for {count} images"
        raise _refusal(augmenter, "a spline", _described(spline), expected)
    _check_reach(spline.values, augmenter, batch)
    return spline


def checked_batch(after: Batch, augmenter: Augmenter, before: Batch) -> Batch:
    """Return an augmented batch that may be trained on.

    Args:
        after: What the augmenter returned.
        augmenter: Named in the error.
        before: What it was given.

    Raises:
        PluginError: If its images or masks have other shapes or types than before, are no numbers,
            or masks are not between 0 and 1.
    """
    if after is before:
        return after  # nothing was done, as by the arm `none`: no time is spent on it
    if not isinstance(after, Batch):
        raise _refusal(augmenter, "what `augment` gives", _described(after), "a Batch")
    for name in ("images", "masks"):
        old, new = getattr(before, name), getattr(after, name)
        if not isinstance(new, Tensor) or new.shape != old.shape or new.dtype != old.dtype:
            raise _refusal(augmenter, name, _described(new), _described(old))
    if not bool(torch.isfinite(after.images).all()):
        raise _refusal(augmenter, "images", "NaN or infinite values", "numbers")
    low, high = (float(end) for end in torch.aminmax(after.masks))
    if not (low >= 0 and high <= 1):
        raise _refusal(augmenter, "masks", f"values from {low:g} to {high:g}", "0 to 1")
    return after


def _check_reach(field: Tensor, augmenter: Augmenter, batch: Batch) -> None:
    farthest, limit = float(field.abs().amax()), _FARTHEST * max(batch.images.shape[2:])
    # Of NaN, no comparison holds.
    if not farthest <= limit:
        raise _refusal(
            augmenter,
            "displacements",
            f"a largest one of {farthest:g} voxels",
            f"at most {limit:g}, {_FARTHEST:g} times the image's longest side; are they in voxels?",
        )


def _refusal(augmenter: Augmenter, what: str, got: str, expected: str) -> PluginError:
    kind = type(augmenter)
    return PluginError(
        f"an augmenter ({kind.__module__}.{kind.__qualname__}) returned {what}: got {got}, "
        f"expected {expected}; this is a fault of the plugin, tell its author"
    )


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{_times(tuple(value.shape))} of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "no axes"

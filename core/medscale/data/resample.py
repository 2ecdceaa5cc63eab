"""Resampling to the study's shape, without aliasing and in any number of dimensions."""

from __future__ import annotations

import functools

import numpy as np

from medscale.data.cases import Array


@functools.lru_cache(maxsize=256)
def _weights(size: int, target: int) -> Array:
    """Return the (target, size) matrix of linear interpolation along one axis.

    When shrinking, the triangle is widened by the factor, so every input voxel counts (the filter
    of antialiased bilinear resizing); cell centres are aligned.
    """
    factor = size / target
    support = max(factor, 1.0)
    centres = (np.arange(target) + 0.5) * factor - 0.5
    distance = np.abs(np.arange(size)[None, :] - centres[:, None])
    weights: Array = np.maximum(0.0, 1.0 - distance / support)
    weights = np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
    weights.flags.writeable = False
    return weights


def resample(image: Array, shape: tuple[int, ...]) -> Array:
    """Resample the last axes of an array linearly.

    Args:
        image: (..., *S) real; leading axes are left alone.
        shape: The target of the last len(shape) axes.

    Returns:
        (..., *shape) float32.
    """
    result = np.asarray(image, dtype=np.float32)
    for axis, target in zip(range(-len(shape), 0), shape, strict=True):
        if result.shape[axis] != target:
            moved = np.moveaxis(result, axis, -1) @ _weights(result.shape[axis], target).T
            result = np.moveaxis(moved, -1, axis)
    return np.ascontiguousarray(result)


def resample_labels(label: Array, shape: tuple[int, ...]) -> Array:
    """Resample an integer label map (*S) by interpolating one-hot and taking the largest.

    Boundaries follow the interpolated masks instead of jagging as nearest-neighbour does.

    Returns:
        (*shape) uint8.
    """
    if label.shape == shape:
        return label.astype(np.uint8)
    values = np.unique(label)
    shares = resample(np.stack([label == value for value in values]), shape)
    return np.asarray(values[np.argmax(shares, axis=0)], dtype=np.uint8)


def resample_masks(masks: Array, shape: tuple[int, ...]) -> Array:
    """Resample overlapping masks (K, *S) with threshold ½.

    Returns:
        (K, *shape) uint8, 0 or 1.
    """
    return (resample(masks, shape) >= 0.5).astype(np.uint8)

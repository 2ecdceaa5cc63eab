"""One image, one mask: any supported file as an array with the channels first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medscale.data.cases import Array
from medscale.data.nifti import SPATIAL_AXES, as_float32, integer_labels, read_nifti
from medscale.errors import DataError
from medscale_dataset_folder.pictures import read_picture, read_tiff

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
TIFFS = (".tif", ".tiff")
VOLUMES = (".nii", ".nii.gz")
SUFFIXES = (*VOLUMES, *PICTURES, *TIFFS)

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, `.nii.gz` being one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read_image(
    path: Path, *, grayscale: bool, keep_volume: bool
) -> tuple[Array, tuple[float, ...], tuple[int, ...]]:
    """Read an image.

    Args:
        path: A file with one of `SUFFIXES`.
        grayscale: Whether three channels become their luminance.
        keep_volume: Whether the axes of a volume stay, even of length 1.

    Returns:
        Image (C, *S) float32; the spacing along S in mm, 1 where unknown; and which axes of the
        file S are.

    Raises:
        DataError: If the file cannot be read or has other axes.
    """
    array, spacing, axes = _read(path, indices=False, keep_volume=keep_volume)
    image: Array = as_float32(array)
    if grayscale and image.shape[0] == len(_LUMINANCE):
        image = np.tensordot(_LUMINANCE, image, axes=1)[np.newaxis]
    return image, spacing, axes


def read_label_map(path: Path, *, keep_volume: bool) -> Array:
    """Read a map of integer labels.

    Returns:
        (*S) uint8 or int16.

    Raises:
        DataError: If the file cannot be read, is coloured, or holds other than integers.
    """
    array, _, _ = _read(path, indices=True, keep_volume=keep_volume)
    if not (array == array[:1]).all():
        raise DataError(
            f"mask {path} is coloured, expected one number per pixel; save it as grey or with a "
            "palette"
        )
    return integer_labels(array[0], path)


def read_binary_mask(path: Path, *, keep_volume: bool) -> Array:
    """Read the mask of one structure: everything but 0 is foreground.

    Returns:
        (*S) bool.

    Raises:
        DataError: If the file cannot be read or holds more than background and one value.
    """
    mask = read_label_map(path, keep_volume=keep_volume)
    values = np.unique(mask)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        shown = ", ".join(str(value) for value in values[:8]) + (", …" if len(values) > 8 else "")
        raise DataError(
            f"mask {path} holds the values {shown}, expected 0 and one other; save one structure "
            "per mask without smoothing, or put label maps directly into masks"
        )
    foreground: Array = mask != 0
    return foreground


def _read(
    path: Path, *, indices: bool, keep_volume: bool
) -> tuple[Array, tuple[float, ...], tuple[int, ...]]:
    suffix = suffix_of(path)
    if suffix in PICTURES:
        return read_picture(path, indices=indices), (1.0, 1.0), (0, 1)
    if suffix in TIFFS:
        array = read_tiff(path, indices=indices)
        if array.dtype.kind not in "biuf":
            raise DataError(f"{path} holds values of type {array.dtype}, expected real numbers")
        return array, (1.0, 1.0), (0, 1)
    voxels, spacing = read_nifti(path)
    shape = voxels.shape
    if voxels.ndim == SPATIAL_AXES + 1 and shape[-1] == 1:
        voxels = voxels[..., 0]
    if not 2 <= voxels.ndim <= SPATIAL_AXES:
        raise DataError(
            f"{path} has the shape {'×'.join(map(str, shape))}, expected 2 or 3 axes; save one "
            "file per channel or time point"
        )
    axes = tuple(range(voxels.ndim))
    if voxels.ndim == SPATIAL_AXES and 1 in voxels.shape and not keep_volume:
        # A picture that was saved as a volume of one slice. The last such axis is the slice's.
        dropped = max(i for i, size in enumerate(voxels.shape) if size == 1)
        voxels = voxels.take(0, axis=dropped)
        axes = tuple(i for i in axes if i != dropped)
    return voxels[np.newaxis], tuple(spacing[i] for i in axes), axes

"""NIfTI files: reading them, pairing an image with its labels, turning them, and cutting slices.

nibabel is imported inside the functions: it belongs to the data set plugins that need it. Whatever
it raises on a truncated or foreign file becomes one sentence that names the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medscale.data.cases import Array, Sample
from medscale.errors import DataError

SPATIAL_AXES = 3
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_DIRECTIONS = "RLAPSI"
"""Right and left, anterior and posterior, superior and inferior, as axes are ordered in RAS."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How the voxels of a NIfTI file lie.

    Attributes:
        shape: Shape of the array.
        spacing: Voxel size along each of its first three axes in mm, 1 where the header gives none.
        orientation: Where the first three axes point, such as "RAS" or "LPS"; None where the file
            does not say or holds the identity that tools write when they know nothing.
        tilt: The largest angle in degrees between such an axis and the direction of its letter;
            0 without an orientation.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str | None
    tilt: float


def read_nifti_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of a NIfTI file from its header, without reading voxels.

    Raises:
        DataError: If the file is missing or no NIfTI.
    """
    with _naming(path):
        return _shape(_open(path), path)


def read_nifti_geometry(path: Path) -> Geometry:
    """Return how a NIfTI file's voxels lie from its header, without reading voxels.

    Raises:
        DataError: If the file is missing or no NIfTI.
    """
    with _naming(path):
        image = _open(path)
        shape = _shape(image, path)
        orientation, tilt = _orientation(image)
        return Geometry(
            shape=shape,
            spacing=_spacing(image, min(len(shape), SPATIAL_AXES)),
            orientation=orientation,
            tilt=tilt,
        )


def read_nifti(path: Path) -> tuple[Array, tuple[float, ...]]:
    """Read a NIfTI file.

    Args:
        path: A `.nii` or `.nii.gz` file.

    Returns:
        The array in its stored axis order and, where the file has no scale factors, its stored
        type; and the voxel size along each of its first three axes in mm, 1 where the header
        gives none.

    Raises:
        DataError: If the file is missing, truncated, no NIfTI, or holds colours or complex
            numbers.
    """
    with _naming(path):
        image = _open(path)
        shape = _shape(image, path)
        if np.dtype(image.get_data_dtype()).kind not in "biuf":
            raise DataError(
                f"{path} holds values of type {image.get_data_dtype()}, expected real numbers; "
                "save each channel as plain numbers"
            )
        array: Array = np.asanyarray(image.dataobj)
        return array, _spacing(image, min(len(shape), SPATIAL_AXES))


def integer_labels(array: Array, path: Path) -> Array:
    """Return labels as small integers.

    Args:
        array: Labels as read, (*S), of any real type.
        path: The file they come from, for messages.

    Returns:
        (*S) uint8 where all values fit, else int16.

    Raises:
        DataError: If a value is no integer or lies outside int16.
    """
    if array.size == 0:
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        broken = ~np.isfinite(array)
        broken |= np.where(broken, 0, array) % 1 != 0
        if broken.any():
            raise DataError(
                f"labels in {path} hold the value {array[broken].flat[0]:g}, expected integers; "
                "resample label maps with nearest-neighbour interpolation"
            )
    low, high = array.min(), array.max()
    for kind in (np.uint8, np.int16):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return array.astype(kind)
    raise DataError(
        f"labels in {path} run from {low:g} to {high:g}, expected values between "
        f"{np.iinfo(np.int16).min} and {np.iinfo(np.int16).max}; is this a label map?"
    )


def read_volume(image: Path, label: Path, channels: int = 1) -> Sample:
    """Read a volume and its label map.

    Args:
        image: The image, (X, Y, Z) or with its channels as the last axis.
        label: Its label map, (X, Y, Z).
        channels: How many channels the image must have.

    Returns:
        Image (C, X, Y, Z) in its stored type, labels (X, Y, Z) and spacing in mm.

    Raises:
        DataError: If a file cannot be read, has other axes or channels, or the two differ in
            size.
    """
    voxels, spacing = read_nifti(image)
    if voxels.ndim == SPATIAL_AXES:
        voxels = voxels[..., np.newaxis]
    if voxels.ndim != SPATIAL_AXES + 1 or voxels.shape[-1] != channels:
        expected = "3 axes" if channels == 1 else f"3 axes and {channels} channels as the last"
        raise DataError(f"{image} has the shape {_times(voxels.shape)}, expected {expected}")
    labels, _ = read_nifti(label)
    if labels.ndim == SPATIAL_AXES + 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.shape != voxels.shape[:-1]:
        raise DataError(
            f"labels {label} have the size {_times(labels.shape)} but their image {image.name} "
            f"has {_times(voxels.shape[:-1])}; resample the labels to the image"
        )
    return Sample(
        image=np.moveaxis(voxels, -1, 0), label=integer_labels(labels, label), spacing=spacing
    )


def as_float32(array: Array) -> npt.NDArray[np.float32]:
    """Return a contiguous float32 copy; what overflows becomes infinite, for core to report."""
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def ras_order(orientation: str) -> tuple[int, ...]:
    """Return which axes run right or left, anterior or posterior, superior or inferior.

    Args:
        orientation: Where each axis points, such as "SPL": its axes are in the order (2, 1, 0).
    """
    axes = range(len(orientation))
    return tuple(sorted(axes, key=lambda axis: _DIRECTIONS.index(orientation[axis])))


def to_ras(sample: Sample, orientation: str) -> Sample:
    """Turn a sample so that its axes run to the right, to the front and up, in this order.

    Only whole axes are exchanged and reversed; nothing is resampled.

    Args:
        sample: Image (C, *S), labels (*S) or masks (K, *S).
        orientation: Where each axis of S points, such as "SPL", or "PL" where S has two.

    Returns:
        The sample as contiguous arrays, with its spacing in the new order.
    """
    order = ras_order(orientation)
    flipped = [place for place, axis in enumerate(order) if orientation[axis] in "LPI"]

    def turn(array: Array) -> Array:
        first = array.ndim - len(order)
        turned = array.transpose(*range(first), *(first + axis for axis in order))
        return np.ascontiguousarray(np.flip(turned, tuple(first + place for place in flipped)))

    return Sample(
        image=turn(sample.image),
        label=turn(sample.label),
        spacing=tuple(sample.spacing[axis] for axis in order),
    )


def cut_slice(volume: Sample, axis: int, index: int) -> Sample:
    """Cut one slice out of a volume.

    Args:
        volume: Image (C, X, Y, Z), labels (X, Y, Z) or masks (K, X, Y, Z).
        axis: The spatial axis to cut across: 0, 1 or 2.
        index: Which slice.

    Returns:
        The slice as copies (float32 image), with the spacing of the two axes that remain.
    """
    masks = volume.label.ndim > SPATIAL_AXES
    return Sample(
        image=as_float32(volume.image.take(index, axis=axis + 1)),
        label=np.ascontiguousarray(volume.label.take(index, axis=axis + masks)),
        spacing=tuple(size for i, size in enumerate(volume.spacing) if i != axis),
    )


def slice_position(index: int, count: int) -> float:
    """Return where slice `index` of `count` lies in its volume, from 0 to 1."""
    return index / (count - 1) if count > 1 else 0.5


def in_middle_third(position: float) -> bool:
    """Return whether a slice position, from 0 to 1, lies in the middle third of its volume."""
    return 1 / 3 <= position <= 2 / 3


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what nibabel raises on a bad file into a `DataError` that names it."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError
    from nibabel.wrapstruct import WrapStructError

    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there or fetch the data set again") from None
    except (
        EOFError,
        HeaderDataError,
        HeaderTypeError,
        ImageFileError,
        MemoryError,
        OSError,
        OverflowError,
        ValueError,
        WrapStructError,
        zlib.error,
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{path} cannot be read as NIfTI ({reason}); it may be truncated or another format: "
            "copy or export it again"
        ) from error


def _open(path: Path) -> Any:
    import nibabel

    # Without memory maps: a file that shrinks under a map ends the process with a bus error.
    image = nibabel.load(path, mmap=False)
    if not isinstance(image, nibabel.Nifti1Image):
        raise DataError(f"{path} is {type(image).__name__}, expected a NIfTI volume")
    return image


def _shape(image: Any, path: Path) -> tuple[int, ...]:
    shape = tuple(int(n) for n in image.shape)
    if not shape or min(shape) < 1:
        raise DataError(f"{path} has the shape {_times(shape) or 'of a number'}, expected voxels")
    return shape


def _orientation(image: Any) -> tuple[str | None, float]:
    """Return where the axes point, None where the header does not say, and their tilt."""
    import nibabel

    axis_codes: Any = nibabel.aff2axcodes
    header = image.header
    affine = np.asarray(image.affine, dtype=np.float64)
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return None, 0.0
    linear = affine[:3, :3]
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(linear) < SPATIAL_AXES:
        return None, 0.0
    if np.array_equal(linear, np.diag(np.abs(np.diag(linear)))) and not affine[:3, 3].any():
        return None, 0.0
    codes = axis_codes(affine)
    if None in codes:
        return None, 0.0
    orientation = "".join(codes)
    rows = [_DIRECTIONS.index(code) // 2 for code in orientation]
    cosines = np.abs(linear[rows, range(3)]) / np.linalg.norm(linear, axis=0)
    return orientation, float(np.degrees(np.arccos(cosines.min().clip(0, 1))))


def _spacing(image: Any, axes: int) -> tuple[float, ...]:
    header = image.header
    try:
        unit = str(header.get_xyzt_units()[0])
    except KeyError:
        unit = "unknown"
    scale = _MILLIMETRES.get(unit, 1.0)
    sizes = (float(size) * scale for size in header.get_zooms()[:axes])
    return tuple(size if np.isfinite(size) and size > 0 else 1.0 for size in sizes)


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)

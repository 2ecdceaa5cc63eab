from __future__ import annotations

import gzip
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medscale.data.cases import Sample
from medscale.data.nifti import (
    Geometry,
    as_float32,
    cut_slice,
    integer_labels,
    read_nifti,
    read_nifti_geometry,
    read_nifti_shape,
    read_volume,
    slice_position,
    to_ras,
)
from medscale.errors import DataError

nib: Any = nibabel  # its constructors carry no types
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def save(path: Path, array: np.ndarray[Any, Any], affine: Any = None) -> Path:
    affine = np.diag([1.5, 2, 3, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("make", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_file_is_read_as_stored(tmp_path: Path, suffix: str, make: Any) -> None:
    path = tmp_path / f"a{suffix}"
    nib.save(make(VOXELS, np.diag([1.5, 2, 3, 1])), path)
    array, spacing = read_nifti(path)
    assert array.dtype.name == "int16"
    np.testing.assert_array_equal(array, VOXELS)
    assert spacing == pytest.approx((1.5, 2, 3))
    assert read_nifti_shape(path) == (3, 4, 5)


def test_the_shape_needs_the_header_only(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VOXELS)
    path.write_bytes(path.read_bytes()[:400])
    assert read_nifti_shape(path) == (3, 4, 5)
    with pytest.raises(DataError, match=r"a\.nii cannot be read"):
        read_nifti(path)


def test_the_fourth_axis_has_no_spacing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5, 2), np.uint8))
    assert read_nifti(path)[1] == (1.5, 2, 3)
    path = save(tmp_path / "b.nii.gz", np.zeros((3, 4), np.uint8))
    assert read_nifti(path)[1] == (1.5, 2)


@pytest.mark.parametrize(("unit", "expected"), [("micron", 0.0015), ("meter", 1500.0), ("mm", 1.5)])
def test_spacing_is_in_millimetres(tmp_path: Path, unit: str, expected: float) -> None:
    image = nib.Nifti1Image(VOXELS, np.diag([1.5, 2, 3, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii")[1][0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [0.0, float("nan"), float("inf")])
def test_an_impossible_spacing_counts_as_unknown(tmp_path: Path, size: float) -> None:
    path = save(tmp_path / "a.nii", VOXELS)
    content = bytearray(path.read_bytes())
    content[80:84] = np.float32(size).tobytes()  # pixdim[1]
    path.write_bytes(content)
    assert read_nifti(path)[1] == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nii.gz", b"this is text"),
        ("a.nii", b"this is text"),
        ("a.nii", b""),
        ("a.nii.gz", b""),
        ("a.nii.gz", gzip.compress(b"this is text", mtime=0)),  # the same in every process
        ("a.png", b"this is text"),
    ],
)
def test_another_format_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_nifti_shape, read_nifti, read_nifti_geometry):
        with pytest.raises(DataError, match=f"{name} cannot be read as NIfTI"):
            read(tmp_path / name)


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, 20)).astype(np.uint8)
    path = save(tmp_path / "a.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"a\.nii\.gz cannot be read as NIfTI"):
        read_nifti(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.nii is missing"):
        read_nifti_shape(tmp_path / "a.nii")


@pytest.mark.parametrize(
    "array",
    [VOXELS.astype(np.complex64), np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])],
)
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(DataError, match="expected real numbers"):
        read_nifti(save(tmp_path / "a.nii", array))


def test_another_image_type_is_refused(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(VOXELS.astype(np.float32), np.eye(4)), tmp_path / "a.mgz")
    with pytest.raises(DataError, match="is MGHImage, expected a NIfTI"):
        read_nifti(tmp_path / "a.mgz")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 355), st.integers(0, 255)), max_size=5), st.integers(0, 475)
)
def test_a_damaged_file_is_read_or_named(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(save(tmp_path / "a.nii", VOXELS).read_bytes())
    for place, value in changes:
        content[place] = value
    (tmp_path / "a.nii").write_bytes(content[:length] if length > 300 else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel's own, about odd headers
        for read in (read_nifti_shape, read_nifti, read_nifti_geometry):
            with suppress(DataError):  # and nothing else
                read(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("signs", "offset", "codes"),
    [((-1, -1, 1), 0, "LPS"), ((1, 1, 1), 7, "RAS"), ((1, 1, 1), 0, None), ((1, -1, 1), 0, "RPS")],
)
def test_orientation_is_what_the_header_states(
    tmp_path: Path, signs: tuple[int, ...], offset: float, codes: str | None
) -> None:
    affine = np.diag([*(2.0 * sign for sign in signs), 1])
    affine[0, 3] = offset
    assert read_nifti_geometry(save(tmp_path / "a.nii", VOXELS, affine)).orientation == codes


def test_a_header_without_orientation_says_so(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VOXELS, np.diag([-1, -1, 1, 1]))
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(content)
    geometry = read_nifti_geometry(path)
    assert (geometry.orientation, geometry.tilt) == (None, 0)


def test_a_geometry_needs_the_header_only(tmp_path: Path) -> None:
    turn = np.array([[0, 0, -2.0], [0, 3, 0], [1, 0, 0]])
    path = save(tmp_path / "a.nii", VOXELS, nib.affines.from_matvec(turn, [9, 8, 7]))
    path.write_bytes(path.read_bytes()[:400])
    assert read_nifti_geometry(path) == Geometry(
        shape=(3, 4, 5), spacing=(1, 3, 2), orientation="SAL", tilt=0
    )


@pytest.mark.parametrize(("angle", "codes"), [(20, "RAS"), (40, "RAS"), (60, "SAL"), (-60, "IAR")])
def test_tilt_is_the_angle_to_the_nearest_direction(
    tmp_path: Path, angle: float, codes: str
) -> None:
    about_y = nib.eulerangles.euler2mat(y=np.radians(-angle))
    affine = nib.affines.from_matvec(about_y @ np.diag([1.5, 2, 3]), [9, 8, 7])
    geometry = read_nifti_geometry(save(tmp_path / "a.nii", VOXELS, affine))
    assert geometry.orientation == codes
    assert geometry.tilt == pytest.approx(min(abs(angle), 90 - abs(angle)), abs=0.01)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL", "AIR", "PRI"])
@pytest.mark.parametrize("masks", [False, True])
def test_turning_agrees_with_nibabel(codes: str, masks: bool) -> None:
    """Whatever the stored orientation, and whether labels are maps or masks."""
    both = np.stack([VOXELS, -VOXELS])
    label = np.stack([VOXELS > 9, VOXELS > 20, VOXELS > 30]) if masks else VOXELS % 4
    turned = to_ras(Sample(image=both, label=label, spacing=(1.0, 2.0, 3.0)), codes)

    orientation = nib.orientations.axcodes2ornt(codes)

    def closest(array: np.ndarray[Any, Any]) -> Any:
        return nib.orientations.apply_orientation(array, orientation)

    np.testing.assert_array_equal(turned.image, [closest(VOXELS), closest(-VOXELS)])
    expected = np.stack([closest(mask) for mask in label]) if masks else closest(label)
    np.testing.assert_array_equal(turned.label, expected)
    sizes = {abs(int(axis)): size for axis, size in zip(orientation[:, 0], (1, 2, 3), strict=True)}
    assert turned.spacing == tuple(sizes[axis] for axis in range(3))
    assert turned.image.flags.c_contiguous


def test_a_slice_is_turned_in_its_plane() -> None:
    sample = Sample(image=VOXELS[:1], label=VOXELS[0] % 3, spacing=(2.0, 3.0))
    turned = to_ras(sample, "SL")
    np.testing.assert_array_equal(turned.image[0], VOXELS[0].T[::-1])
    np.testing.assert_array_equal(turned.label, VOXELS[0].T[::-1] % 3)
    assert turned.spacing == (3, 2)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([0.0, 255.0]), np.uint8),
        (np.array([0, 256], np.int64), np.int16),
        (np.array([-1, 3], np.int32), np.int16),
        (np.array([False, True]), np.uint8),
        (np.zeros((0, 3), np.float32), np.uint8),
        (np.array([0, 3], np.uint64), np.uint8),
    ],
)
def test_labels_become_small_integers(array: np.ndarray[Any, Any], kind: Any) -> None:
    labels = integer_labels(array, Path("a"))
    assert labels.dtype == kind
    np.testing.assert_array_equal(labels, array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 0.5]), "hold the value 0.5, expected integers"),
        (np.array([0, np.nan, 1.5]), "hold the value nan, expected integers"),
        (np.array([np.inf, 0]), "hold the value inf, expected integers"),
        (np.array([0, 40_000]), "run from 0 to 40000"),
        (np.array([-1e30, 0]), r"run from -1e\+30 to 0"),
    ],
)
def test_what_is_no_label_map_is_named(array: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        integer_labels(array, Path("masks/a.nii"))
    assert "masks/a.nii" in str(caught.value)


def test_a_volume_comes_with_its_channels_first(tmp_path: Path) -> None:
    both = np.stack([VOXELS, VOXELS + 100], axis=-1)
    image = save(tmp_path / "image.nii", both)
    label = save(tmp_path / "label.nii", (VOXELS % 3).astype(np.float32)[..., np.newaxis])
    volume = read_volume(image, label, channels=2)
    np.testing.assert_array_equal(volume.image, [VOXELS, VOXELS + 100])
    np.testing.assert_array_equal(volume.label, VOXELS % 3)
    assert volume.label.dtype == np.uint8
    assert volume.spacing == (1.5, 2, 3)


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((3, 4), 1, "image.nii has the shape 3×4, expected 3 axes"),
        ((3, 4, 5, 2), 1, "has the shape 3×4×5×2, expected 3 axes"),
        ((3, 4, 5), 2, "expected 3 axes and 2 channels as the last"),
        ((3, 5, 4), 1, "label.nii have the size 3×4×5 but their image image.nii has 3×5×4"),
    ],
)
def test_a_pair_that_does_not_match_is_named(
    tmp_path: Path, shape: tuple[int, ...], channels: int, message: str
) -> None:
    image = save(tmp_path / "image.nii", np.zeros(shape, np.int16))
    label = save(tmp_path / "label.nii", VOXELS)
    with pytest.raises(DataError, match=message):
        read_volume(image, label, channels)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("masks", [False, True])
def test_a_slice_is_a_copy_across_its_axis(axis: int, masks: bool) -> None:
    image = np.stack([VOXELS, -VOXELS]).astype(np.float32)
    label = np.stack([VOXELS > 5, VOXELS > 9, VOXELS > 20]) if masks else VOXELS % 4
    volume = Sample(image=image, label=label, spacing=(1.0, 2.0, 3.0))
    cut = cut_slice(volume, axis, 1)
    np.testing.assert_array_equal(cut.image, image.take(1, axis=axis + 1))
    np.testing.assert_array_equal(cut.label, label.take(1, axis=axis + masks))
    assert cut.image.dtype == np.float32
    assert cut.label.dtype == label.dtype
    assert cut.spacing == tuple(s for i, s in enumerate((1.0, 2.0, 3.0)) if i != axis)
    assert not np.shares_memory(cut.image, image)
    assert not np.shares_memory(cut.label, label)


def test_numbers_beyond_float32_become_infinite_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(as_float32(np.array([1e300]))).all()


def test_positions_run_from_zero_to_one() -> None:
    assert [slice_position(i, 3) for i in range(3)] == [0, 0.5, 1]
    assert slice_position(0, 1) == 0.5

"""Volumes of one folder that are stored in different axis orders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from folder_toys import VOXELS, Pixels, dataset, load_all, nifti, png

from medscale.errors import DataError
from medscale_dataset_folder import orientation

nib: Any = nibabel  # its functions carry no types
AFFINE = np.array([[1.5, 0, 0, 9], [0, 2, 0, 8], [0, 0, 3, 7], [0, 0, 0, 1]])


def stored(path: Path, voxels: Pixels, codes: str, affine: Any = AFFINE) -> Path:
    """Write one and the same volume in another axis order."""
    image = nib.Nifti1Image(voxels, affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(codes)
    )
    turned = image.as_reoriented(turn)
    return nifti(path, np.asarray(turned.dataobj), turned.affine)


def tilted(angle: float) -> Any:
    about_y = nib.eulerangles.euler2mat(y=np.radians(-angle))
    return nib.affines.from_matvec(about_y @ np.diag([1.5, 2, 3]), [9, 8, 7])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One volume and its label map in four axis orders."""
    for stem, codes in (("a", "RAS"), ("b", "SPL"), ("c", "RAS"), ("d", "LPS")):
        stored(tmp_path / f"images/{stem}.nii.gz", VOXELS, codes)
        stored(tmp_path / f"masks/{stem}.nii.gz", (VOXELS % 3).astype(np.uint8), codes)
    return tmp_path


def test_one_volume_in_several_axis_orders_is_one_array(mixed: Path) -> None:
    log: list[str] = []
    for sample in load_all(dataset(mixed, log, labels={"x": [1, 2]})):
        np.testing.assert_array_equal(sample.image[0], VOXELS)
        np.testing.assert_array_equal(sample.label, VOXELS % 3)
        assert sample.spacing == pytest.approx((1.5, 2, 3))
        assert sample.image.flags.c_contiguous
    assert [line for line in log if "orient" in line] == [
        "NIfTI images are stored in different orientations (2 RAS such as c.nii.gz, 1 SPL such as "
        "b.nii.gz, 1 LPS such as d.nii.gz): all are turned to RAS"
    ]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_cut_across_one_direction_of_the_body(mixed: Path, axis: int) -> None:
    made = dataset(mixed, labels={"x": [1, 2]}, cut_axis=axis)
    count = VOXELS.shape[axis]
    cases = made.cases()
    assert len(cases) == 4 * count
    for number, case in enumerate(cases):
        sample = made.load(case)
        cut = VOXELS.take(number % count, axis=axis)
        np.testing.assert_array_equal(sample.image[0], cut)
        np.testing.assert_array_equal(sample.label, cut % 3)
        assert case.position == (number % count) / (count - 1)


def test_the_stored_order_can_be_kept_and_is_said(mixed: Path) -> None:
    log: list[str] = []
    made = dataset(mixed, log, labels={"x": [1, 2]}, orientation="stored")
    samples = load_all(made)
    assert [sample.image.shape[1:] for sample in samples] == [
        (3, 4, 5), (5, 4, 3), (3, 4, 5), (3, 4, 5),
    ]  # fmt: skip
    np.testing.assert_array_equal(samples[1].image[0], VOXELS.T[:, ::-1, ::-1])
    assert samples[1].spacing == pytest.approx((3, 2, 1.5))
    assert any("none is turned, so axes differ between them" in line for line in log)


def test_one_other_order_for_all_is_turned_without_a_word(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        stored(tmp_path / f"images/{stem}.nii", VOXELS, "ASL")
        stored(tmp_path / f"masks/one/{stem}.nii", (VOXELS > 30).astype(np.uint8), "ASL")
        stored(tmp_path / f"masks/two/{stem}.nii", (VOXELS > 40).astype(np.uint8), "ASL")
    log: list[str] = []
    for sample in load_all(dataset(tmp_path, log)):
        np.testing.assert_array_equal(sample.image[0], VOXELS)
        np.testing.assert_array_equal(sample.label, [VOXELS > 30, VOXELS > 40])
    assert [line for line in log if "no subjects" not in line] == []


def test_a_mask_is_turned_by_the_header_of_its_image(tmp_path: Path) -> None:
    stored(tmp_path / "images/a.nii", VOXELS, "SPL")
    label = (VOXELS % 3).astype(np.uint8).T[:, ::-1, ::-1]
    nifti(tmp_path / "masks/a.nii", label, np.eye(4))  # no orientation
    (sample,) = load_all(dataset(tmp_path))
    np.testing.assert_array_equal(sample.image[0], VOXELS)
    np.testing.assert_array_equal(sample.label, VOXELS % 3)


@pytest.mark.parametrize(
    ("codes", "stored_mask"), [("SPL", lambda m: m.T[:, ::-1]), ("PIR", lambda m: m.T[::-1])]
)
def test_a_slice_is_turned_in_its_plane_with_the_picture_of_its_mask(
    tmp_path: Path, codes: str, stored_mask: Callable[[Pixels], Pixels]
) -> None:
    flat = VOXELS[:, 2:3]
    stored(tmp_path / "images/a.nii", flat, codes)
    stored(tmp_path / "images/b.nii", flat, "RAS")
    mask = (flat[:, 0] % 3).astype(np.uint8)
    png(tmp_path / "masks/a.png", stored_mask(mask))
    png(tmp_path / "masks/b.png", mask)
    for sample in load_all(dataset(tmp_path)):
        np.testing.assert_array_equal(sample.image[0], flat[:, 0])
        np.testing.assert_array_equal(sample.label, mask)
        assert sample.spacing == pytest.approx((1.5, 3))


def test_volumes_without_orientation_are_taken_as_stored_and_it_is_said(tmp_path: Path) -> None:
    stored(tmp_path / "images/a.nii", VOXELS, "LPS")
    nifti(tmp_path / "images/b.nii", VOXELS, np.diag([1.5, 2, 3, 1]))
    for stem in ("a", "b"):
        nifti(tmp_path / f"masks/{stem}.nii", VOXELS % 3, np.eye(4))
    log: list[str] = []
    for sample in load_all(dataset(tmp_path, log)):
        np.testing.assert_array_equal(sample.image[0], VOXELS)
    assert any(
        "1 of 2 NIfTI images do not state their orientation, such as b.nii" in x for x in log
    )


class TestOblique:
    @pytest.fixture
    def stacks(self, tmp_path: Path) -> Path:
        """Two stacks, acquired alike, on either side of 45°."""
        for stem, angle in (("a", 40), ("b", 50)):
            nifti(tmp_path / f"images/{stem}.nii", VOXELS, tilted(angle))
            nifti(tmp_path / f"masks/{stem}.nii", VOXELS % 3, tilted(angle))
        return tmp_path

    def test_stacks_that_would_be_turned_apart_are_refused(self, stacks: Path) -> None:
        with pytest.raises(DataError, match=r"\.nii is tilted by 40° .*1 RAS .*1 SAL") as caught:
            dataset(stacks).cases()
        assert "--set folder.orientation=stored" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_the_way_out_leaves_them_alike(self, stacks: Path) -> None:
        made = dataset(stacks, orientation="stored", cut_axis=2)
        assert len(made.cases()) == 10
        assert all(sample.image.shape == (1, 3, 4) for sample in load_all(made))

    def test_tilt_is_no_matter_where_all_are_turned_alike(self, stacks: Path) -> None:
        nifti(stacks / "images/b.nii", VOXELS, tilted(42))
        assert len(dataset(stacks).cases()) == 2

    def test_small_tilts_are_turned(self, stacks: Path) -> None:
        nifti(stacks / "images/a.nii", VOXELS, tilted(25))
        nifti(stacks / "images/b.nii", VOXELS, tilted(65))
        one, two = load_all(dataset(stacks))
        np.testing.assert_array_equal(one.image[0], VOXELS)
        np.testing.assert_array_equal(two.image[0], VOXELS.T[::-1])


class TestSpacing:
    @pytest.fixture
    def thick(self, tmp_path: Path) -> Path:
        """The second volume is stored in another order, and its slices are thicker."""
        for stem, codes, size in (("a", "RAS", 3.0), ("b", "SPL", 7.5)):
            affine = AFFINE @ np.diag([1, 1, size / 3, 1])
            stored(tmp_path / f"images/{stem}.nii", VOXELS, codes, affine)
            stored(tmp_path / f"masks/{stem}.nii", VOXELS % 3, codes, affine)
        return tmp_path

    def notes(self, data: Path, **options: object) -> list[str]:
        log: list[str] = []
        dataset(data, log, **options).cases()
        return [line for line in log if "voxels are" in line]

    def test_voxels_of_very_different_size_are_said_once(self, thick: Path) -> None:
        (note,) = self.notes(thick)
        assert "voxels are 3 mm long in a.nii and 7.5 mm in b.nii (axis 2)" in note

    def test_neither_thickness_of_cut_slices_nor_a_small_difference_matters(
        self, thick: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.notes(thick, cut_axis=2) == []
        assert len(self.notes(thick, cut_axis=0)) == 1
        monkeypatch.setattr(orientation, "_SPACING_RATIO", 3.0)
        assert self.notes(thick) == []

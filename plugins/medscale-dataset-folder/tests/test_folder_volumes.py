"""NIfTI volumes of a folder, whole or cut into slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folder_toys import GREY, VOXELS, Pixels, dataset, load_all, nifti, png

from medscale.data.draft import Draft
from medscale.data.options import PrepareOptions
from medscale.data.prepare import prepare
from medscale.errors import DataError
from medscale_dataset_folder import dataset as module


class TestVolumes:
    def test_a_volume_is_one_case_with_spacing(self, volumes: Path) -> None:
        made = dataset(volumes)
        assert [case.id for case in made.cases()] == ["a", "b"]
        assert set(made.tasks) == {"label_1", "label_2"}
        sample = made.load(made.cases()[0])
        np.testing.assert_array_equal(sample.image, VOXELS[np.newaxis])
        np.testing.assert_array_equal(sample.label, VOXELS % 3)
        assert sample.spacing == (1.5, 2, 3)
        assert (sample.image.dtype, sample.label.dtype) == (np.float32, np.uint8)

    @pytest.mark.parametrize(
        ("axis", "letter", "spacing"), [(0, "x", (2, 3)), (1, "y", (1.5, 3)), (2, "z", (1.5, 2))]
    )
    def test_a_volume_can_be_cut(
        self, volumes: Path, axis: int, letter: str, spacing: tuple[float, ...]
    ) -> None:
        made = dataset(volumes, cut_axis=axis)
        cases = made.cases()
        count = VOXELS.shape[axis]
        assert [c.id for c in cases[:count]] == [f"a_{letter}{i:03d}" for i in range(count)]
        assert {case.subject for case in cases} == {"a", "b"}
        assert [case.position for case in cases[:count]] == [i / (count - 1) for i in range(count)]
        sample = made.load(cases[1])
        np.testing.assert_array_equal(sample.image[0], VOXELS.take(1, axis=axis))
        np.testing.assert_array_equal(sample.label, VOXELS.take(1, axis=axis) % 3)
        assert sample.spacing == spacing

    def test_masks_per_structure_are_cut_alike(self, tmp_path: Path) -> None:
        nifti(tmp_path / "images/a.nii.gz", VOXELS)
        nifti(tmp_path / "masks/one/a.nii.gz", (VOXELS > 30).astype(np.uint8))
        nifti(tmp_path / "masks/two/a.nii.gz", (VOXELS > 40).astype(np.uint8))
        sample = load_all(dataset(tmp_path, cut_axis=1))[2]
        cut = VOXELS[:, 2]
        np.testing.assert_array_equal(sample.label, [cut > 30, cut > 40])

    def test_each_volume_is_read_once(self, volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[str] = []
        original = module.read_image

        def counting(path: Path, **options: bool) -> object:
            read.append(path.name)
            return original(path, **options)

        monkeypatch.setattr(module, "read_image", counting)
        load_all(dataset(volumes, cut_axis=2))
        assert read == ["a.nii.gz", "b.nii.gz"]

    def test_an_axis_of_length_one_is_dropped(self, tmp_path: Path) -> None:
        flat = VOXELS[:, :, 0]
        nifti(tmp_path / "images/a.nii", flat[:, np.newaxis, :], np.diag([2, 9, 3, 1]))
        nifti(tmp_path / "labels/a.nii", flat[:, np.newaxis, :, np.newaxis] % 2)
        nifti(tmp_path / "images/b.nii", flat)
        nifti(tmp_path / "labels/b.nii", flat % 2)
        one, two = load_all(dataset(tmp_path))
        np.testing.assert_array_equal(one.image, flat[np.newaxis])
        np.testing.assert_array_equal(one.label, flat % 2)
        assert one.spacing == (2, 3)
        np.testing.assert_array_equal(two.image, one.image)

    def test_a_picture_can_have_a_nifti_mask(self, maps: Path) -> None:
        (maps / "labels/a.png").unlink()
        nifti(maps / "labels/a.nii.gz", (GREY % 3).astype(np.int16))
        np.testing.assert_array_equal(load_all(dataset(maps))[0].label, GREY % 3)

    def test_pictures_and_volumes_do_not_mix(self, volumes: Path) -> None:
        png(volumes / "images/c.png", GREY)
        png(volumes / "masks/c.png", GREY % 2)
        made, draft = dataset(volumes), Draft(volumes / "draft")
        with pytest.raises(DataError, match="has 1 channels and 2 dimensions, but"):
            prepare(made, made.cases(), PrepareOptions(), lambda *counts: None, draft)
        with pytest.raises(DataError, match=r"c\.png is no volume"):
            dataset(volumes, cut_axis=2).cases()

    @pytest.mark.parametrize(
        ("file", "voxels", "message"),
        [
            ("images/a.nii.gz", np.zeros((3, 4, 5, 2), np.int16), "3×4×5×2, expected 2 or 3 axes"),
            ("masks/a.nii", np.zeros((3, 4, 4), np.int16), "size 3×4×4 but its image"),
            ("masks/a.nii", np.full((3, 4, 5), 0.5, np.float32), "hold the value 0.5"),
        ],
    )
    def test_bad_volumes_are_named(
        self, volumes: Path, file: str, voxels: Pixels, message: str
    ) -> None:
        path = nifti(volumes / file, voxels)
        with pytest.raises(DataError, match=message) as caught:
            load_all(dataset(volumes))
        assert str(path) in str(caught.value)

    def test_a_text_file_is_no_nifti(self, volumes: Path) -> None:
        (volumes / "masks/b.nii").write_text("hello")
        with pytest.raises(DataError, match=r"b\.nii cannot be read as NIfTI"):
            load_all(dataset(volumes))

    def test_headers_that_disagree_are_said_once(self, volumes: Path) -> None:
        affine = np.diag([-1.0, -1, 1, 1])
        affine[:3, 3] = 5
        for stem in ("a", "b"):
            nifti(volumes / f"masks/{stem}.nii", VOXELS % 3, affine)
            nifti(volumes / f"images/{stem}.nii.gz", VOXELS, np.abs(affine))
        log: list[str] = []
        load_all(dataset(volumes, log))
        assert [line for line in log if "oriented LPS and its image RAS" in line] == log[1:]
        assert len(log) == 2

    def test_positions_and_cutting_exclude_each_other(self, volumes: Path) -> None:
        (volumes / "metadata.csv").write_text("image,subject,position\na,1,0.5\nb,2,\n")
        with pytest.raises(DataError, match=r"holds positions, but folder\.cut_axis"):
            dataset(volumes, cut_axis=2).cases()
        assert dataset(volumes).cases()[0].position == 0.5

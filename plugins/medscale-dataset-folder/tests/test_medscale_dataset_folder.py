from __future__ import annotations

import os
import pickle
import re
import shlex
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from folder_toys import GREY, VOXELS, Pixels, dataset, load_all, nifti, png

from medscale.config import parse_settings, validate
from medscale.data.cases import Case
from medscale.data.draft import Draft
from medscale.data.options import PrepareOptions
from medscale.data.prepare import prepare
from medscale.errors import ConfigError, DataError
from medscale.protocols import Dataset
from medscale.testing import DatasetTests, SpecTests
from medscale_dataset_folder import dataset as module
from medscale_dataset_folder.config import FolderOptions
from medscale_dataset_folder.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestMasksConform(DatasetTests):
    spec = SPEC

    @pytest.fixture
    def data(self, masks: Path) -> Path:
        return masks


class TestSlicesConform(DatasetTests):
    spec = SPEC
    options: ClassVar[dict[str, str]] = {"cut_axis": "2"}

    @pytest.fixture
    def data(self, volumes: Path) -> Path:
        return volumes


class TestLayouts:
    def test_a_folder_per_structure_gives_overlapping_masks(self, masks: Path) -> None:
        made = dataset(masks)
        assert isinstance(made, Dataset)
        assert {name: task.labels for name, task in made.tasks.items()} == {
            "left_heart": (0,),
            "lungs": (1,),
        }
        cases = made.cases()
        assert [case.id for case in cases] == ["a", "b", "c"]
        assert cases[0].files == (
            masks / "images/a.png",
            masks / "masks/left heart/a.bmp",
            masks / "masks/Lungs/a.png",
        )
        sample = made.load(cases[0])
        np.testing.assert_array_equal(sample.image, GREY[np.newaxis])
        np.testing.assert_array_equal(sample.label, [GREY > 30, GREY > 20])
        assert (sample.image.dtype, sample.label.dtype) == (np.float32, np.bool_)
        assert sample.spacing == (1, 1)

    @pytest.mark.parametrize("folder", ["labels", "masks"])
    def test_label_maps_may_lie_in_either_folder(self, maps: Path, folder: str) -> None:
        (maps / "labels").rename(maps / folder)
        made = dataset(maps)
        assert {name: task.labels for name, task in made.tasks.items()} == {
            "label_1": (1,),
            "label_2": (2,),
        }
        sample = made.load(made.cases()[0])
        np.testing.assert_array_equal(sample.label, GREY % 3)
        assert sample.label.dtype == np.uint8

    @pytest.mark.parametrize("value", [1, 255, 7])
    def test_one_value_is_the_foreground(self, maps: Path, value: int) -> None:
        for stem in ("a", "b"):
            png(maps / f"labels/{stem}.png", np.where(GREY > 9, value, 0).astype(np.uint8))
        assert {name: t.labels for name, t in dataset(maps).tasks.items()} == {
            "foreground": (value,)
        }

    def test_named_labels_need_no_reading(
        self, maps: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "read_label_map", None)
        tasks = dataset(maps, labels={"lv": 1, "wall": [1, 2]}).tasks
        assert {name: task.labels for name, task in tasks.items()} == {"lv": (1,), "wall": (1, 2)}

    def test_label_maps_are_searched_once_and_it_is_said(self, maps: Path) -> None:
        log: list[str] = []
        made = dataset(maps, log)
        assert made.tasks == made.tasks
        assert [line for line in log if "label maps" in line] == [
            "reading 2 label maps to find their values"
        ]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [({}, False), ({"may_be_absent": True}, True), ({"cut_axis": 2}, True)],
    )
    def test_absence_is_an_error_unless_it_is_declared_or_cut(
        self, volumes: Path, options: dict[str, Any], expected: bool
    ) -> None:
        tasks = dataset(volumes, labels={"x": [1, 2]}, **options).tasks
        assert tasks["x"].may_be_absent is expected

    def test_listing_reads_no_pixels(self, masks: Path) -> None:
        for path in masks.rglob("*.png"):
            path.write_bytes(b"not a picture")
        made = dataset(masks)
        assert len(made.cases()) == 3
        assert set(made.tasks) == {"lungs", "left_heart"}

    def test_leftovers_and_spare_masks_are_no_cases(self, masks: Path) -> None:
        for name in ("images/.DS_Store", "images/._a.png", "masks/.hidden", "images/Thumbs.db"):
            (masks / name).write_bytes(b"x")
        png(masks / "masks/Lungs/z.png", GREY)
        log: list[str] = []
        assert len(dataset(masks, log).cases()) == 3
        assert any("1 mask without an image, z.png; it is not used" in line for line in log)
        png(masks / "masks/Lungs/y.png", GREY)
        assert len(dataset(masks, log).cases()) == 3
        assert any("2 masks without an image, such as y.png; they are" in line for line in log)

    def test_a_missing_mask_says_every_way_on(self, masks: Path) -> None:
        (masks / "masks/Lungs/b.png").unlink()
        with pytest.raises(DataError, match=r"--set folder\.may_be_absent=true") as caught:
            dataset(masks).cases()
        assert f"if lungs is not needed, move {masks / 'masks/Lungs'} elsewhere" in str(
            caught.value
        )
        (masks / "masks/Lungs").rename(masks / "lungs of another day")
        assert set(dataset(masks).tasks) == {"left_heart"}

    def test_an_empty_mask_is_absence_where_that_is_declared(self, masks: Path) -> None:
        png(masks / "masks/Lungs/b.png", GREY * 0)
        made = dataset(masks, may_be_absent=True)
        assert made.tasks["lungs"].may_be_absent
        assert [sample.label[1].any() for sample in load_all(made)] == [True, False, True]

    def test_no_label_map_can_be_moved_away(self, maps: Path) -> None:
        (maps / "labels/b.png").unlink()
        with pytest.raises(DataError, match=r"add the mask or take the image out$"):
            dataset(maps).cases()

    def test_links_are_followed(self, masks: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (masks / "images/a.png").rename(elsewhere / "x.png")
        (masks / "images/a.png").symlink_to(elsewhere / "x.png")
        assert dataset(masks).load(dataset(masks).cases()[0]).image.shape == (1, 5, 7)

    @pytest.mark.parametrize(
        ("breakage", "message"),
        [
            (lambda d: (d / "images").rename(d / "pictures"), "holds no folder images"),
            (lambda d: (d / "masks").rename(d / "truth"), "holds neither masks nor labels"),
            (lambda d: (d / "labels").mkdir(), "holds both masks and labels"),
            (lambda d: (d / "masks").rename(d / "labels"), "labels holds folders, expected"),
            (lambda d: png(d / "masks/a.png", GREY), "masks holds folders and files, expected"),
            (lambda d: (d / "masks/Lungs/b.png").unlink(), r"images/b\.png has no mask in .*Lungs"),
            (lambda d: (d / "masks/1st").mkdir(), "structure '1st' .* cannot be a task"),
            (lambda d: (d / "masks/lungs").mkdir(), "Lungs and lungs, .* the task lungs"),
            (lambda d: (d / "images/deep").mkdir(), "deep is a folder"),
            (lambda d: (d / "images/x.png").symlink_to(d / "gone"), r"x\.png is a broken link"),
            (lambda d: np.save(d / "images/x.npy", GREY), r"x\.npy has no format that is read"),
            (lambda d: (d / "images/x.dcm").touch(), r"x\.dcm has no format that is read"),
            (lambda d: (d / "images/a.tif").touch(), r"a\.png and a\.tif, which have one name"),
            (lambda d: (d / "images/x\n.png").touch(), "whose name not every system"),
            (lambda d: (d / "images/x?.png").touch(), "whose name not every system"),
            (lambda d: (d / "images/x .png").touch(), "whose name not every system"),
            (lambda d: png(d / "masks/Lungs/z.jpg", GREY), r"z\.jpg is a JPEG"),
        ],
    )
    def test_another_layout_is_explained(self, masks: Path, breakage: Any, message: str) -> None:
        breakage(masks)
        with pytest.raises(DataError, match=message) as caught:
            dataset(masks).cases()
        assert "\n" not in str(caught.value)

    def test_no_folder_and_no_image_are_explained(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="--data DIR"):
            dataset(None).cases()
        with pytest.raises(DataError, match="is no folder"):
            dataset(tmp_path / "absent").cases()
        (tmp_path / "images").mkdir()
        with pytest.raises(DataError, match="images holds no image"):
            dataset(tmp_path).cases()

    def test_a_foreign_case_is_refused(self, masks: Path) -> None:
        with pytest.raises(DataError, match="no case elsewhere"):
            dataset(masks).load(Case(id="elsewhere", subject="x"))


class TestLabels:
    @pytest.mark.parametrize(
        ("fill", "message"),
        [
            (lambda i: GREY * 0, "are empty"),
            (lambda i: GREY, "more than 32 values"),
            (lambda i: np.where(GREY > 9, (1, 255)[i], 0).astype(np.uint8), "both 1 and 255"),
        ],
    )
    def test_values_without_a_clear_meaning_are_refused(
        self, maps: Path, fill: Any, message: str
    ) -> None:
        for i, stem in enumerate(("a", "b")):
            png(maps / f"labels/{stem}.png", fill(i))
        with pytest.raises(DataError, match=message):
            _ = dataset(maps).tasks

    def test_negative_values_are_refused(self, volumes: Path) -> None:
        nifti(volumes / "masks/a.nii", VOXELS % 3 - 1)
        with pytest.raises(DataError, match="the value -1"):
            _ = dataset(volumes).tasks

    def test_names_for_masks_make_no_sense(self, masks: Path) -> None:
        with pytest.raises(DataError, match=r"folder\.labels names the values of label maps"):
            _ = dataset(masks, labels={"lv": 3}).tasks

    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ('folder.labels={"lv": 3, "wall": [1, 2]}', {"lv": (3,), "wall": (1, 2)}),
            ("folder.labels.lv=3", {"lv": (3,)}),
            ("folder.labels.wall=1, 2", {"wall": (1, 2)}),
        ],
    )
    def test_labels_come_from_the_command_line(
        self, setting: str, expected: dict[str, tuple[int, ...]]
    ) -> None:
        options = validate(FolderOptions, parse_settings([setting])["folder"], "folder")
        assert options.labels == expected

    def test_the_ways_that_describe_shows_are_ways(self) -> None:
        shown = FolderOptions.model_fields["labels"].description or ""
        one, two, whole = re.findall(r"--set ('.*?'|\S+?)(?=,? or|,? --|\.? |$)", shown)
        tree = [parse_settings(shlex.split(f"{one} {two}")), parse_settings(shlex.split(whole))]
        for settings in tree:
            options = validate(FolderOptions, settings["folder"], "folder")
            assert options.labels == {"lv": (3,), "wall": (1, 2)}

    @pytest.mark.parametrize(
        "labels", [{"LV": 1}, {"lv": 0}, {"lv": -1}, {"lv": "x"}, {"lv": []}, {}, 3, {"lv": 1.5}]
    )
    def test_other_labels_are_refused(self, labels: object) -> None:
        with pytest.raises(ConfigError, match=r"folder\.labels"):
            validate(FolderOptions, {"labels": labels}, "folder")


class TestPixels:
    def test_colour_becomes_luminance_or_stays(self, maps: Path) -> None:
        colour = np.stack([GREY, GREY * 2, GREY * 3], axis=-1)
        for stem in ("a", "b"):
            png(maps / f"images/{stem}.png", colour)
        grey = load_all(dataset(maps))[0].image
        expected = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
        np.testing.assert_allclose(grey, expected[np.newaxis], rtol=1e-5)
        assert grey.dtype == np.float32
        kept = load_all(dataset(maps, grayscale=False))[0].image
        np.testing.assert_array_equal(kept, np.moveaxis(colour, -1, 0))

    def test_a_mixture_of_channels_is_an_error(self, maps: Path) -> None:
        png(maps / "images/b.png", np.stack([GREY] * 3, axis=-1))
        options = PrepareOptions(shape=(8, 8))
        made = dataset(maps)
        prepare(made, made.cases(), options, lambda done, total: None, Draft(maps / "draft"))
        made = dataset(maps, grayscale=False)
        with pytest.raises(DataError, match=r"b .*has 3 channels and 2 dim.* has 1 and 2"):
            prepare(made, made.cases(), options, lambda done, total: None, Draft(maps / "draft"))

    @pytest.mark.parametrize("value", [0, 1])
    def test_a_mask_of_one_value_is_a_mask(self, masks: Path, value: int) -> None:
        png(masks / "masks/Lungs/a.png", np.full_like(GREY, value))
        label = dataset(masks).load(dataset(masks).cases()[0]).label
        assert label[1].all() == bool(value)
        assert label[1].any() == bool(value)

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (GREY % 3, "holds the values 0, 1, 2, expected 0 and one other"),
            (GREY % 2 + 1, "holds the values 1, 2, expected"),
            (GREY, "0, 1, 2, 3, 4, 5, 6, 7, …"),
            (GREY[:4] % 2, r"size 4×7 but its image a\.png has 5×7"),
            (np.stack([GREY % 2, GREY % 2, GREY * 0], axis=-1), "is coloured"),
        ],
    )
    def test_a_bad_mask_is_named(self, masks: Path, pixels: Pixels, message: str) -> None:
        path = png(masks / "masks/Lungs/a.png", pixels)
        with pytest.raises(DataError, match=message) as caught:
            load_all(dataset(masks))
        assert str(path) in str(caught.value)

    def test_a_grey_mask_saved_as_colour_is_a_mask(self, masks: Path) -> None:
        mask = (GREY > 20).astype(np.uint8) * 255
        png(masks / "masks/Lungs/a.png", np.stack([mask] * 3, axis=-1))
        png(masks / "masks/Lungs/b.png", np.stack([mask, mask, mask, mask * 0 + 255], axis=-1))
        for sample in load_all(dataset(masks)):
            np.testing.assert_array_equal(sample.label[1], GREY > 20)

    @pytest.mark.parametrize("what", ["images/b.png", "masks/Lungs/b.png"])
    @pytest.mark.parametrize("damage", [lambda c: c[:50], lambda c: b"text", lambda c: b""])
    def test_a_damaged_picture_is_named(self, masks: Path, what: str, damage: Any) -> None:
        (masks / what).write_bytes(damage((masks / what).read_bytes()))
        with pytest.raises(DataError, match=r"cannot be read as a picture") as caught:
            load_all(dataset(masks))
        assert what in str(caught.value)

    def test_a_file_that_vanished_is_named(self, masks: Path) -> None:
        made = dataset(masks)
        cases = made.cases()
        (masks / "images/a.png").unlink()
        with pytest.raises(DataError, match=r"a\.png is missing"):
            made.load(cases[0])

    def test_nothing_is_unpickled(self, masks: Path) -> None:
        (masks / "images/a.png").write_bytes(pickle.dumps(GREY))
        with pytest.raises(DataError, match=r"a\.png cannot be read"):
            load_all(dataset(masks))


@pytest.mark.real_data
def test_the_real_chest_xrays_have_their_37_subjects() -> None:
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip("MEDSCALE_TEST_DATA is unset: no real chest X-rays to read")
    log: list[str] = []
    made = dataset(Path(data) / "chest_xray", log)
    cases = made.cases()
    assert len(cases) == 44
    assert len({case.subject for case in cases}) == 37
    assert set(made.tasks) == {"lungs", "heart"}
    for sample in load_all(made)[::8]:
        assert sample.image.shape[0] == 1
        assert sample.label.shape == (2, *sample.image.shape[1:])
        assert 0.01 < sample.label[0].mean() < sample.label[1].mean() < 0.6
    assert len(log) == 1
    assert "columns are not used: source_file, " in log[0]

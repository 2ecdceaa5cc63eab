"""Bad images, masks and folders: one sentence that names the file; nothing written or lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.e2e.outcomes import Say, the_error

from medscale_cli.__main__ import run

Medscale = Callable[..., "subprocess.CompletedProcess[str]"]
Pixels = npt.NDArray[Any]

FLAGS = (
    *("--dataset", "folder", "--data", "data", "--shape", "32", "--set", "res_unet.width=2"),
    *("--budget", "steps=4", "--device", "cpu", "--sizes", "1,2", "--replicates", "1"),
)
_SUBJECTS = 8


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight pictures with label maps, `data`, and a finished run on it, `run`."""
    place = tmp_path_factory.mktemp("studied")
    folder = place / "data"
    for number in range(_SUBJECTS):
        chance = np.random.default_rng(number)
        label = np.zeros((40, 40), dtype=np.uint8)
        label[10 + number : 25 + number, 12:28] = 1
        image = chance.integers(10, 200, label.shape, dtype=np.uint8) + 50 * label
        write(folder / "images" / f"c{number:02d}.png", image)
        write(folder / "masks" / f"c{number:02d}.png", label)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("MEDSCALE_DATA", str(place / "home"))
        assert run(["run", *FLAGS, "--executor", "serial", "--out", "run"]) == 0
    return place


@pytest.fixture
def data(studied: Path, tmp_path: Path) -> Path:
    """The pictures, for this test to break."""
    return Path(shutil.copytree(studied / "data", tmp_path / "data"))


@pytest.fixture
def finished(studied: Path, tmp_path: Path) -> dict[str, bytes | None]:
    """A finished run on the pictures in `run`, with all that is in it."""
    shutil.copytree(studied / "run", tmp_path / "run")
    return content(tmp_path / "run")


def write(path: Path, pixels: Pixels) -> None:
    """Write a picture, or a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
        return
    nifti: Any = nibabel.Nifti1Image
    nibabel.save(nifti(pixels, np.eye(4)), path)


def content(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder with what is in it; the data home and locks are left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.relative_to(folder).parts[0] != "home" and path.name != ".lock"
    }


def no_data(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def no_images(data: Path) -> None:
    (data / "images").rename(data / "pictures")


def empty_images(data: Path) -> None:
    no_images(data)
    (data / "images").mkdir()


def no_masks(data: Path) -> None:
    (data / "masks").rename(data / "truth")


def no_mask_of_one(data: Path) -> None:
    (data / "masks" / "c03.png").unlink()


def no_picture(data: Path) -> None:
    (data / "images" / "c03.png").write_text("this is no picture")


def empty_file(data: Path) -> None:
    (data / "images" / "c03.png").write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_image(data: Path) -> None:
    truncate(data / "images" / "c03.png")


def truncated_mask(data: Path) -> None:
    truncate(data / "masks" / "c03.png")


def as_nifti(data: Path, kind: str, change: Callable[[Pixels], Pixels]) -> Path:
    """Replace the fourth picture by a NIfTI file with other values."""
    picture = data / kind / "c03.png"
    pixels = change(np.asarray(Image.open(picture)).astype(np.float32))
    picture.unlink()
    write(data / kind / "c03.nii.gz", pixels)
    return data / kind / "c03.nii.gz"


def truncated_nifti(data: Path) -> None:
    truncate(as_nifti(data, "images", lambda pixels: pixels))


def nan_image(data: Path) -> None:
    as_nifti(data, "images", lambda pixels: np.where(pixels > 150, np.nan, pixels))


def infinite_image(data: Path) -> None:
    as_nifti(data, "images", lambda pixels: np.where(pixels > 150, np.inf, pixels))


def constant_image(data: Path) -> None:
    write(data / "images" / "c03.png", np.full((40, 40), 7, dtype=np.uint8))


def mask_of_another_size(data: Path) -> None:
    write(data / "masks" / "c03.png", np.ones((30, 40), dtype=np.uint8))


def broken_labels(data: Path) -> None:
    as_nifti(data, "masks", lambda pixels: pixels / 2)


def unknown_label(data: Path) -> None:
    label = np.asarray(Image.open(data / "masks" / "c03.png")) * 7
    write(data / "masks" / "c03.png", label.astype(np.uint8))


def empty_mask(data: Path) -> None:
    write(data / "masks" / "c03.png", np.zeros((40, 40), dtype=np.uint8))


def empty_masks(data: Path) -> None:
    for path in (data / "masks").iterdir():
        write(path, np.zeros((40, 40), dtype=np.uint8))


def one_image(data: Path) -> None:
    for path in data.glob("*/c*.png"):
        if path.stem != "c00":
            path.unlink()


def one_person(data: Path) -> None:
    rows = "".join(f"c{number:02d}.png,anna\n" for number in range(_SUBJECTS))
    (data / "metadata.csv").write_text("image,subject\n" + rows)


def table_without_all(data: Path) -> None:
    (data / "metadata.csv").write_text("image,subject\nc00.png,anna\n")


def nothing(data: Path) -> None:
    pass


NAMED = ("--set", 'folder.labels={"lv": 1}')
FAULTS = [
    (no_data, (), ["--data data is no folder"]),
    (no_images, (), ["data holds no folder images", "--data"]),
    (empty_images, (), ["data/images holds no image", ".png"]),
    (no_masks, (), ["data holds neither masks nor labels", "expected"]),
    (no_mask_of_one, (), ["images/c03.png has no mask", "add an empty mask"]),
    (no_picture, (), ["data/images/c03.png cannot be read", "save it again"]),
    (empty_file, (), ["data/images/c03.png cannot be read", "save it again"]),
    (truncated_image, (), ["data/images/c03.png cannot be read", "truncated", "save it again"]),
    (truncated_mask, (), ["data/masks/c03.png cannot be read", "truncated", "save it again"]),
    (truncated_nifti, (), ["data/images/c03.nii.gz cannot be read", "truncated", "again"]),
    (nan_image, (), ["data/images/c03.nii.gz", "NaN", "mend or remove"]),
    (infinite_image, (), ["data/images/c03.nii.gz", "infinite", "mend or remove"]),
    (constant_image, (), ["data/images/c03.png", "constant", "mend or remove"]),
    (mask_of_another_size, (), ["data/masks/c03.png", "30×40", "40×40", "save the mask"]),
    (broken_labels, (), ["data/masks/c03.nii.gz", "0.5", "expected integers"]),
    (unknown_label, NAMED, ["data/masks/c03.png", "unknown value 7", "expected 0 and [1]"]),
    (unknown_label, (), ["--task is missing", "label_1, label_7"]),
    (empty_mask, (), ["data/masks/c03.png", "no foreground of task 'foreground'", "mend its mask"]),
    (empty_masks, (), ["data/masks", "empty", "check the masks"]),
    (empty_masks, NAMED, ["no case has any foreground of task 'lv'", "check the masks"]),
    (one_image, (), ["1 independent subject", "expected at least 3", "add people"]),
    (one_person, (), ["1 independent subject", "expected at least 3", "add people"]),
    (table_without_all, (), ["data/metadata.csv has no row for c01.png", "add it"]),
    (nothing, ("--sizes", "1..64"), ["--sizes asks for 8, 16, 32, 64", "give sizes up to 5"]),
    (nothing, ("--set", "split.test=0.9"), ["--sizes asks for 2", "give sizes up to 1"]),
]


@pytest.mark.parametrize(
    ("fault", "flags", "words"), FAULTS, ids=[f"{row[0].__name__}{len(row[1])}" for row in FAULTS]
)
def test_bad_data_is_one_sentence_and_changes_nothing(
    say: Say,
    data: Path,
    finished: dict[str, bytes | None],
    tmp_path: Path,
    fault: Callable[[Path], None],
    flags: tuple[str, ...],
    words: list[str],
) -> None:
    fault(data)
    before = content(tmp_path)
    for command in ("run", "plan"):
        for out in ("new", "run"):
            code, error = say(command, *FLAGS, *flags, "--out", out)
            assert code == 1
            assert [word for word in words if word not in error] == [], error
    assert content(tmp_path) == before
    assert content(tmp_path / "run") == finished


@pytest.mark.parametrize("fault", [truncated_image, one_person])
def test_the_real_command_says_the_same(
    medscale: Medscale, data: Path, tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    fault(data)
    before = content(tmp_path)
    done = medscale("run", *FLAGS, "--out", "new", check=False)
    assert done.returncode == 1
    assert the_error(done.stderr)
    assert done.stdout == ""
    assert content(tmp_path) == before


def test_mended_data_are_read_anew(
    say: Say, data: Path, finished: dict[str, bytes | None], tmp_path: Path
) -> None:
    # The cache knows a file by size and time; a fault must not have left anything in it.
    whole = (data / "images" / "c03.png").read_bytes()
    truncated_image(data)
    assert say("run", *FLAGS, "--out", "run").code == 1
    (data / "images" / "c03.png").write_bytes(whole)
    assert say("run", *FLAGS, "--executor", "serial", "--out", "run").code == 0
    assert content(tmp_path / "run") == finished


def test_other_pixels_are_another_study(
    say: Say, data: Path, finished: dict[str, bytes | None], tmp_path: Path
) -> None:
    write(data / "images" / "c03.png", np.arange(1600, dtype=np.uint16).reshape(40, 40))
    code, error = say("run", *FLAGS, "--out", "run")
    assert code == 1
    assert "run holds another study (data is " in error
    assert "choose another --out" in error
    assert content(tmp_path / "run") == finished

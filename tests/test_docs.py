"""Every code block of the documentation is run, on data small enough for a test."""

from __future__ import annotations

import importlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medscale.data.cases import Array
from medscale_cli.__main__ import run

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    + [page for page in ROOT.glob("plugins/*/README.md") if page.parent.name != "_template"]
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.text.splitlines()[0][:40]}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            yield Block(page, match[1], match[2])


def commands(program: str) -> list[tuple[str, str]]:
    """Return (page, line) of each line of a shell block that starts with a program."""
    lines = [
        (str(block.page.relative_to(ROOT)), line)
        for block in blocks()
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert all(line.split()[0] in ("medscale", "make") for _, line in lines), lines
    return sorted({(page, line) for page, line in lines if line.split()[0] == program})


def test_every_block_says_what_it_is() -> None:
    odd = [
        str(block) for block in blocks() if block.language not in ("sh", "text", "python", "toml")
    ]
    assert not odd, f"code blocks of no known language are not run: {odd}"


@pytest.mark.parametrize(("page", "line"), commands("make"))
def test_make_targets_exist(page: str, line: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(line.split()[1:]) <= set(targets)


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "python"], ids=str)
def test_python_blocks_run(block: Block) -> None:
    exec(compile(block.text, str(block.page), "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize(("page", "line"), commands("medscale"))
def test_commands_run(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    arguments = shlex.split(line)[1:]
    if "slurm" in arguments:
        stand_in_for_slurm(tmp_path, monkeypatch)
    for folder in (argument for argument in arguments if argument.startswith("runs/")):
        make_run(folder)
    assert run([*arguments, *smaller(arguments)]) == 0


def stand_in_for_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put commands that do as SLURM does first on PATH."""
    monkeypatch.syspath_prepend(str(ROOT / "plugins/medscale-executor-slurm/tests"))
    commands = importlib.import_module("slurm_stand_in").install(folder / "slurm")
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")


def make_run(folder: str) -> None:
    """Make a run, for commands that look at one."""
    study = ["--dataset", "phantom", "--aug", "none,red", "--replicates", "2"]
    assert run(["run", *study, *smaller(["run", *study]), "--out", folder]) == 0


SMALL = {
    "reg": ["--set", "reg.targets_per_source=2", "--set", "lddmm.iterations=[4]"],
    "gen": [
        *("--set", "gen.sources=4", "--set", "gen.targets_per_source=2"),
        *("--set", "gen.training.iterations=20", "--set", "gen.training.least_spread=0"),
        *("--set", "lddmm.iterations=[4]"),
    ],
}
"""Options with which an arm learns little, and soon."""


def smaller(arguments: list[str]) -> list[str]:
    """Return flags that make a study of the documentation small; the last of a flag wins."""
    arms = {arm for argument in arguments for arm in argument.replace("+", ",").split(",")}
    small = [flag for arm in ("reg", "gen") if arm in arms for flag in SMALL[arm]]
    if arguments[0] == "preview":
        return ["--shape", "32", *small]
    if arguments[0] == "register":
        return ["--shape", "32", "--sources", "2", *(small or SMALL["reg"])]
    if arguments[0] not in ("run", "plan"):
        return []
    flags = ["--sizes", "1,2", "--replicates", "1", "--budget", "steps=2"]
    flags += [] if "slurm" in arguments else ["--executor", "serial"]
    if "swin_unet" in arguments:
        flags += ["--shape", "64"]
    else:
        flags += ["--shape", "32", "--set", "res_unet.width=2"]
    flags += small
    if "phantom" in arguments or "--config" in arguments:
        flags += ["--set", "phantom.subjects=16", "--set", "phantom.size=64"]
    return flags


def make_data(folder: Path, page: str) -> None:
    """Make the files and folders that the documentation speaks of."""
    for block in blocks():
        if block.language == "toml" and str(block.page.relative_to(ROOT)) == page:
            (folder / "study.toml").write_text(block.text, encoding="utf-8")
    generator = np.random.default_rng(0)
    disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
    for name in ("images", "masks/lungs", "masks/heart"):
        (folder / "my_images" / name).mkdir(parents=True)
    for number in range(16):
        picture = (60 * disc + generator.integers(0, 90, disc.shape)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "my_images" / "images" / f"{number}.png")
        for structure in ("lungs", "heart"):
            mask = Image.fromarray((255 * disc).astype(np.uint8))
            mask.save(folder / "my_images" / "masks" / structure / f"{number}.png")
    (folder / "my_images" / "metadata.csv").write_text(
        "image,subject\n" + "".join(f"{number}.png,p{number}\n" for number in range(16)),
        encoding="utf-8",
    )
    volume = np.repeat(disc[:, :, None], 3, axis=2)
    label = volume.astype(np.uint8)
    label[:16] *= 2
    label[:, :14] *= 3
    heart = np.where(label > 3, 3, label).astype(np.uint8)
    for number in range(1, 13):
        patient = folder / "path/to/acdc/training" / f"patient{number:03d}"
        patient.mkdir(parents=True)
        (patient / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: NOR\n", encoding="utf-8")
        for frame in (1, 9):
            image = (volume * 50 + generator.integers(0, 90, volume.shape)).astype(np.float32)
            stem = patient / f"{patient.name}_frame{frame:02d}"
            save_nifti(image, Path(f"{stem}.nii.gz"))
            save_nifti(heart, Path(f"{stem}_gt.nii.gz"))
    task = folder / "path/to/Task04_Hippocampus"
    entries = []
    for number in range(1, 13):
        name = f"hippocampus_{number:03d}.nii.gz"
        image = (volume * 50 + generator.integers(0, 90, volume.shape)).astype(np.float32)
        save_nifti(image, task / "imagesTr" / name)
        save_nifti((heart > 0).astype(np.uint8) + (heart > 1), task / "labelsTr" / name)
        entries.append(f'{{"image": "./imagesTr/{name}", "label": "./labelsTr/{name}"}}')
    (task / "dataset.json").write_text(
        '{"name": "Hippocampus", "tensorImageSize": "3D", "modality": {"0": "MRI"}, "labels": '
        '{"0": "background", "1": "Anterior", "2": "Posterior"}, "training": ['
        + ", ".join(entries)
        + "]}",
        encoding="utf-8",
    )


def save_nifti(array: Array, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)  # type: ignore[no-untyped-call]

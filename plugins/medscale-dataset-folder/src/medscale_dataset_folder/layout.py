"""Which files a folder holds, and which mask belongs to which image."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medscale.errors import DataError
from medscale.spec import NAME
from medscale_dataset_folder.pixels import SUFFIXES, suffix_of

_LOSSY = (".jpg", ".jpeg")
_UNSAFE = frozenset('\\:*?"<>|')  # results are named after images, on any system
_LEFTOVERS = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Images and their masks.

    Attributes:
        images: Image file by stem, sorted.
        structures: Task names of the folders in `masks/`, sorted; empty for label maps.
        masks: By the image's stem: one mask per structure, or one label map.
    """

    images: dict[str, Path]
    structures: tuple[str, ...]
    masks: dict[str, tuple[Path, ...]]


def stem_of(path: Path) -> str:
    """Return the name without its suffix, in Unicode's composed form.

    macOS writes accents decomposed, other systems composed; a table and a folder must agree.
    """
    name = path.name[: len(path.name) - len(suffix_of(path))]
    return unicodedata.normalize("NFC", name)


def find_layout(folder: Path, log: Callable[[str], None]) -> Layout:
    """Find images and pair them with masks by stem.

    Args:
        folder: The folder with `images/` and `masks/` or `labels/`.
        log: Told about masks that belong to no image.

    Raises:
        DataError: If a folder, a mask or a supported format is missing, or names are ambiguous.
    """
    images = _files(_subfolder(folder, "images"))
    if not images:
        raise DataError(f"{folder / 'images'} holds no image, expected {', '.join(SUFFIXES)} files")
    sources = _mask_folders(folder)
    found = {name: _files(source, lossless=True) for name, source in sources.items()}
    for name, source in sources.items():
        missing = [stem for stem in images if stem not in found[name]]
        if missing:
            image = images[missing[0]]
            advice = (
                f"; all structures are read whatever --task says, so if {name} is not needed, move "
                f"{source} elsewhere"
                if name
                else ""
            )
            raise DataError(
                f"{image.parent.name}/{image.name} has no mask in {source}, expected {missing[0]} "
                f"with the suffix of an image ({len(missing)} of {len(images)} images lack one); "
                "where the structure is absent, add an empty mask and pass --set "
                "folder.may_be_absent=true, else add the mask or take the image out" + advice
            )
        spare = sorted(set(found[name]) - set(images))
        if spare:
            example = found[name][spare[0]].name
            log(
                f"{source} holds 1 mask without an image, {example}; it is not used"
                if len(spare) == 1
                else f"{source} holds {len(spare)} masks without an image, such as {example}; they "
                "are not used"
            )
    return Layout(
        images=images,
        structures=tuple(name for name in found if name),
        masks={stem: tuple(files[stem] for files in found.values()) for stem in images},
    )


def _mask_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each structure by task name, or that of the label maps under ""."""
    both = [name for name in ("masks", "labels") if (folder / name).is_dir()]
    if len(both) != 1:
        what = "both masks and labels" if both else "neither masks nor labels"
        raise DataError(
            f"{folder} holds {what}, expected one of the two: masks/<structure>/ with a mask per "
            "image, or label maps in masks/ or labels/"
        )
    root = folder / both[0]
    entries = _entries(root)
    parts = [entry for entry in entries if entry.is_dir()]
    if not parts:
        return {"": root}
    if len(parts) < len(entries) or both[0] == "labels":
        raise DataError(
            f"{root} holds folders {'and files' if len(parts) < len(entries) else ''}".rstrip()
            + ", expected either masks/<structure>/ with a mask per image or label maps alone"
        )
    structures: dict[str, Path] = {}
    for part in parts:
        name = re.sub(r"[\s-]+", "_", part.name.lower())
        if not NAME.fullmatch(name):
            raise DataError(
                f"the structure {part.name!r} in {root} cannot be a task's name, expected letters "
                "a-z, digits and _, starting with a letter; rename the folder"
            )
        if name in structures:
            raise DataError(
                f"{root} holds {structures[name].name} and {part.name}, which would both be the "
                f"task {name}; rename one of them"
            )
        structures[name] = part
    return dict(sorted(structures.items()))


def _subfolder(folder: Path, name: str) -> Path:
    if not (folder / name).is_dir():
        raise DataError(
            f"{folder} holds no folder {name}, expected images/ beside masks/ or labels/; pass "
            "the folder that holds them with --data DIR"
        )
    return folder / name


def _entries(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name.lower() not in _LEFTOVERS
    ]


def _files(folder: Path, *, lossless: bool = False) -> dict[str, Path]:
    """Return the files of a folder by stem; links to files elsewhere are files like others."""
    files: dict[str, Path] = {}
    for entry in _entries(folder):
        stem = stem_of(entry)
        if not stem.isprintable() or _UNSAFE & set(stem) or stem != stem.strip(" ."):
            raise DataError(
                f"{folder} holds {entry.name!a}, whose name not every system can write; rename it "
                "without control characters, spaces at its ends or any of "
                + " ".join(sorted(_UNSAFE))
            )
        if not entry.is_file():
            what = "a folder" if entry.is_dir() else "a broken link"
            raise DataError(f"{entry} is {what}, expected a file; move its files up or remove it")
        suffix = suffix_of(entry)
        if suffix not in SUFFIXES:
            raise DataError(
                f"{entry} has no format that is read here, expected {', '.join(SUFFIXES)}; convert "
                "it or move it elsewhere"
            )
        if lossless and suffix in _LOSSY:
            raise DataError(
                f"mask {entry} is a JPEG, whose compression blurs label values; save masks as PNG, "
                "from the original if there is one"
            )
        if stem in files:
            raise DataError(
                f"{folder} holds {files[stem].name} and {entry.name}, which have one name; "
                "rename or remove one of them"
            )
        files[stem] = entry
    return dict(sorted(files.items()))

from __future__ import annotations

import random
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from medscale.errors import DataError
from medscale_dataset_folder.pictures import read_picture, read_tiff

Pixels = np.ndarray[Any, Any]
GREY = np.arange(35, dtype=np.uint8).reshape(5, 7)
DEEP = (np.arange(35, dtype=np.uint16) * 1801).reshape(5, 7)
COLOUR = np.stack([GREY, GREY * 2, GREY * 3], axis=-1)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_bytes(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("pixels", [GREY, DEEP, GREY > 9])
def test_grey_png_keeps_its_precision(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png", indices=False)
    np.testing.assert_array_equal(read, pixels[np.newaxis])
    assert read.dtype == pixels.dtype


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_colour_comes_with_its_channels_first(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLOUR).save(tmp_path / name)
    read = read_picture(tmp_path / name, indices=False)
    np.testing.assert_array_equal(read, np.moveaxis(COLOUR, -1, 0))


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(tmp_path / "a.jpg")
    assert abs(read_picture(tmp_path / "a.jpg", indices=False).astype(int) - 77).max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_dropped(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(9)
    image.save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png", indices=False)
    assert (read == GREY).all()
    assert read.shape[0] == (3 if mode == "RGBA" else 1)


def test_a_palette_is_indices_for_labels_and_colours_for_images(tmp_path: Path) -> None:
    image = Image.frombytes("P", (7, 5), (GREY % 3).tobytes())
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    labels = read_picture(tmp_path / "a.png", indices=True)
    np.testing.assert_array_equal(labels, (GREY % 3)[np.newaxis])
    colours = read_picture(tmp_path / "a.png", indices=False)
    np.testing.assert_array_equal(colours[0], np.where(GREY % 3 == 1, 255, 0))


def test_deep_colour_png_is_refused_instead_of_cut(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(2, 1, 16, 2, bytes(1 + 2 * 6)))
    with pytest.raises(DataError, match=r"a\.png is 16-bit colour"):
        read_picture(tmp_path / "a.png", indices=False)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(side, side, 8, 0, b"\0" * 1000))
    with pytest.raises(DataError, match=r"a\.png .*pixels"):
        read_picture(tmp_path / "a.png", indices=False)


def test_a_tiff_bomb_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        places = [file.pages.first.tags[tag].valueoffset for tag in (256, 257)]
    for place in places:
        content = content[:place] + struct.pack("<H", 60_000) + content[place + 2 :]
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif claims 3600000000 pixels"):
        read_tiff(tmp_path / "a.tif", indices=False)


def test_exif_rotation_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(DataError, match="EXIF orientation 6"):
        read_picture(tmp_path / "a.jpg", indices=False)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="is animated"):
        read_picture(tmp_path / "a.png", indices=False)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "TIFF"])
def test_other_decoders_never_run(tmp_path: Path, kind: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png", format=kind)
    with pytest.raises(DataError, match=r"a\.png cannot be read as a picture"):
        read_picture(tmp_path / "a.png", indices=False)


@pytest.mark.parametrize(
    "pixels", [GREY, DEEP, DEEP.astype(np.float32) / 7, DEEP.astype(np.int16), GREY > 9]
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_keeps_its_precision(tmp_path: Path, pixels: Pixels, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", compression=compression)
    read = read_tiff(tmp_path / "a.tif", indices=False)
    np.testing.assert_array_equal(read, pixels[np.newaxis])
    assert read.dtype == pixels.dtype


@pytest.mark.parametrize(
    ("pixels", "compression"),
    [(DEEP, "tiff_lzw"), (GREY, "tiff_lzw"), (GREY > 9, "group4"), (COLOUR, "tiff_lzw")],
)
def test_compressions_of_other_programs_are_read(
    tmp_path: Path, pixels: Pixels, compression: str
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif", compression=compression)
    read = read_tiff(tmp_path / "a.tif", indices=False)
    expected = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[np.newaxis]
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_deep_colour_tiff_is_read_whole(tmp_path: Path, layout: str) -> None:
    deep = np.stack([DEEP, DEEP // 2, DEEP // 3])
    pixels = deep if layout == "separate" else np.moveaxis(deep, 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig=layout)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif", indices=False), deep)


def test_a_tiff_palette_is_indices_for_labels_and_colours_for_images(tmp_path: Path) -> None:
    palette = np.zeros((3, 256), np.uint16)
    palette[0, 1] = 65535
    tifffile.imwrite(tmp_path / "a.tif", GREY % 3, photometric="palette", colormap=palette)
    labels = read_tiff(tmp_path / "a.tif", indices=True)
    np.testing.assert_array_equal(labels, (GREY % 3)[np.newaxis])
    colours = read_tiff(tmp_path / "a.tif", indices=False)
    np.testing.assert_array_equal(colours[0], np.where(GREY % 3 == 1, 255, 0))


def test_several_pages_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 4), photometric="minisblack")
    with pytest.raises(DataError, match=r"a\.tif has 4 pages, expected 1"):
        read_tiff(tmp_path / "a.tif", indices=False)


@pytest.mark.parametrize("pixels", [GREY, GREY > 9])
def test_white_as_zero_is_refused(tmp_path: Path, pixels: Pixels) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    with pytest.raises(DataError, match="calls 0 white"):
        read_tiff(tmp_path / "a.tif", indices=False)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.bmp"])
def test_a_damaged_file_is_read_or_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(COLOUR).save(path)
    good = path.read_bytes()
    read = read_tiff if name == "a.tif" else read_picture
    chance = random.Random(0)
    for _ in range(150):
        content = bytearray(good)
        for _ in range(chance.randint(0, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.randint(1, len(content))])
        with suppress(DataError):  # and nothing else
            read(path, indices=False)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_a_file_cut_in_half_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(COLOUR).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = read_tiff if name == "a.tif" else read_picture
    with pytest.raises(DataError, match=f"{name} cannot be read as a picture"):
        read(path, indices=False)

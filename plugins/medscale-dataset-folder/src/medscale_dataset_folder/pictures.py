"""PNG, JPEG and BMP through Pillow, and TIFF through tifffile.

Decoders see files from anywhere, and raise whatever comes to their mind. Every fault becomes one
sentence that names the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from medscale.data.cases import Array
from medscale.errors import DataError

# Only these decoders may run, whatever a file's first bytes say.
_PILLOW_FORMATS = ("PNG", "JPEG", "BMP")
_EXIF_ORIENTATION = 0x0112
_PLAIN_MODES = ("1", "L", "I", "I;16", "I;16B", "F")
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "PA")
_PLAIN_TIFF = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
_CONVERTED_TIFF = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR)


def read_picture(path: Path, *, indices: bool) -> Array:
    """Read a PNG, JPEG or BMP file.

    Args:
        path: The file.
        indices: What a palette image means: its indices (a label map) or its colours.

    Returns:
        (C, H, W) in the stored type: one channel, or three of colour. Transparency is dropped.

    Raises:
        DataError: If the file is missing, truncated, no such picture, too large to be one, or
            could not be read at full precision.
    """
    with _naming(path):
        return _through_pillow(path, _PILLOW_FORMATS, indices=indices)


def read_tiff(path: Path, *, indices: bool) -> Array:
    """Read a TIFF file with one page, of any depth.

    Args:
        path: The file.
        indices: What a palette image means: its indices (a label map) or its colours.

    Returns:
        (C, H, W) in the stored type. Transparency is dropped.

    Raises:
        DataError: As for `read_picture`, and if it has several pages or stores white as 0.
    """
    with _naming(path), tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise DataError(
                f"{path} has {len(file.pages)} pages, expected 1; save one image per file, or a "
                "volume as NIfTI"
            )
        page = file.pages.first
        kind = page.photometric
        pixels = page.imagewidth * page.imagelength * page.imagedepth
        _check_size(path, pixels * max(1, page.samplesperpixel // 4))
        if kind == tifffile.PHOTOMETRIC.MINISWHITE:
            raise DataError(
                f"{path} is a TIFF that calls 0 white (MINISWHITE), which programs read in two "
                "opposite ways; save it as PNG or as 8-bit grey with 0 as black"
            )
        if kind not in _PLAIN_TIFF and kind not in _CONVERTED_TIFF:
            name = getattr(kind, "name", kind)
            raise DataError(
                f"{path} is a TIFF of kind {name}, expected grey, RGB or palette; save it as PNG"
            )
        if kind in _CONVERTED_TIFF and not (indices and kind == tifffile.PHOTOMETRIC.PALETTE):
            return _through_pillow(path, ("TIFF",), indices=indices)
        try:
            array: Array = page.asarray()
        except ValueError as error:
            # Pillow knows LZW, JPEG and fax compression; it would cut deep colours to 8 bits.
            if "imagecodecs" not in str(error):
                raise
            if page.samplesperpixel > 1 and page.dtype != np.uint8:
                raise DataError(
                    f"{path} is deep colour with a compression that is not read here; save it "
                    "without compression"
                ) from None
            return _through_pillow(path, ("TIFF",), indices=indices)
        if page.axes == "YX":
            return array[np.newaxis]
        if page.axes == "YXS":
            array = np.moveaxis(array, -1, 0)
        elif page.axes != "SYX":
            raise DataError(f"{path} has the axes {page.axes}, expected a 2-D picture")
        return array[:3] if kind == tifffile.PHOTOMETRIC.RGB else array


def _through_pillow(path: Path, formats: tuple[str, ...], *, indices: bool) -> Array:
    with Image.open(path, formats=formats) as image:
        _check_size(path, image.width * image.height)
        if getattr(image, "n_frames", 1) != 1:
            raise DataError(f"{path} is animated, expected one picture; save its frames one by one")
        # Pillow has no mode for deep colour, and cuts it to 8 bits without a word. Asked
        # first: reading EXIF decodes a PNG, after which the depth of the file is forgotten.
        deep = image.format == "PNG" and any("16" in str(tile[3]) for tile in image.tile)
        if deep and image.mode not in _PLAIN_MODES:
            raise DataError(
                f"{path} is 16-bit colour, which PNG readers cut to 8 bits; save it as TIFF, or "
                "as 16-bit grey"
            )
        turned = image.getexif().get(_EXIF_ORIENTATION, 1)
        if turned != 1 and formats == _PILLOW_FORMATS:
            raise DataError(
                f"{path} is stored rotated or mirrored (EXIF orientation {turned}), which some "
                "programs undo and others do not; save the picture upright, as its mask is"
            )
        image.load()
        if image.mode in _PLAIN_MODES or (indices and image.mode == "P"):
            return np.asarray(image)[np.newaxis]
        if image.mode == "LA":
            return np.asarray(image.getchannel("L"))[np.newaxis]
        if image.mode in _COLOUR_MODES or image.mode == "P":
            return np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
        raise DataError(f"{path} has the mode {image.mode}, expected grey or RGB; save it as PNG")


def _check_size(path: Path, pixels: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS or 2**26
    if pixels > limit:
        raise DataError(
            f"{path} claims {pixels} pixels, expected at most {limit}; scale it down, and mistrust "
            "where it came from"
        )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what a decoder raises on a bad file into a `DataError` that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there again") from None
    except Exception as error:  # decoders also raise SyntaxError, struct.error, KeyError, …
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{path} cannot be read as a picture ({reason}); it may be truncated or another "
            "format: open it in a viewer and save it again"
        ) from error

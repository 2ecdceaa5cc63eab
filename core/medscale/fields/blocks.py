"""One block of a field store: the codes of one source onto several targets, as files.

    zarr.json        Zarr 3 array (T, *code), float16, one chunk, NaN fill; attributes say of whom
    c.0.0…           the chunk, with its CRC-32C
    committed.json   the hash of every file above, written last

A row times its scale is the code: `zarr.open_array(block)[...]` and the attribute `scales` are all
that a reader without medscale needs. The block's folder is named by the hash of `committed.json`,
so a changed byte anywhere shows. Zarr alone would not do: it reads a missing chunk as the fill
value, and with its usual fill of 0 a half-written array would be the identity deformation.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from medscale import atomic
from medscale.data.cases import Array
from medscale.errors import StoreError

SCHEMA = 1
MARKER = "committed.json"
_METADATA = "zarr.json"


class DamagedBlockError(StoreError):
    """A block is not what was written, or does not belong where it lies.

    Args:
        path: The file or folder at fault.
        problem: What is wrong with it.
        block: The block's folder.
    """

    def __init__(self, path: Path, problem: str, block: Path) -> None:
        super().__init__(
            f"{path} {problem}: delete the folder {block} and run `medscale register`, which makes "
            "that block anew"
        )
        self.path = path
        self.problem = problem


@dataclass(frozen=True)
class Layout:
    """What all blocks of a store have in common.

    Attributes:
        code_shape: The shape of one code.
        quality: The names of the numbers about each pair, sorted.
    """

    code_shape: tuple[int, ...]
    quality: tuple[str, ...]

    def __str__(self) -> str:
        return f"codes of shape {self.code_shape} with quality {list(self.quality)}"


@dataclass(frozen=True, kw_only=True)
class Block:
    """What a block says about its pairs, without their codes.

    Attributes:
        name: The name of its folder.
        source: Key of the moving image.
        targets: Keys of the T fixed images.
        code_shape: The shape of one code.
        scales: (T,) float32, the largest magnitude of each code; NaN where registration failed.
        quality: By name, (T,) float64 numbers about each pair.
    """

    name: str
    source: str
    targets: tuple[str, ...]
    code_shape: tuple[int, ...]
    scales: Array
    quality: Mapping[str, Array]

    @property
    def failed(self) -> Array:
        """(T,) bool, True where registration failed."""
        return np.isnan(self.scales)

    @property
    def layout(self) -> Layout:
        """What has to be the same in every block of a store."""
        return Layout(self.code_shape, tuple(sorted(self.quality)))


def encode_block(
    source: str,
    targets: Sequence[str],
    codes: Array,
    quality: Mapping[str, Array],
    cases: Mapping[str, str],
) -> tuple[str, dict[str, bytes]]:
    """Return the name of a block and its files; the same content gives the same bytes.

    Args:
        source: Key of the moving image.
        targets: Keys of the T fixed images, all different.
        codes: (T, *code) finite floats; a row of NaN alone is a registration that failed.
        quality: By name, (T,) numbers; NaN where there is none.
        cases: The case of each key, for people.

    Raises:
        StoreError: If shapes disagree, or a number cannot be kept.
    """
    count = len(targets)
    if count == 0 or len(set(targets)) != count:
        raise StoreError(f"a block needs one or more targets, each once; got {count} targets")
    with np.errstate(over="ignore"):  # beyond float32 is as infinite as infinity, refused below
        codes = np.asarray(codes, dtype=np.float32)
    if codes.ndim < 2 or len(codes) != count or codes[0].size == 0:
        raise StoreError(
            f"codes of {count} targets have the shape ({count}, *code); got {codes.shape}"
        )
    flat = codes.reshape(count, -1)
    failed = np.isnan(flat).all(axis=1)
    unfit = np.flatnonzero(~failed & ~np.isfinite(flat).all(axis=1))
    if unfit.size:
        raise StoreError(
            f"the code of {cases[source]} onto {cases[targets[unfit[0]]]} holds NaN or infinity: "
            "only finite codes are kept; mark a pair that failed by a code of NaN alone"
        )
    scales = np.abs(flat).max(axis=1)
    # A zero code has no scale to divide by; it is stored, and read, as zeros.
    divisors = np.where(scales == 0, np.float32(1), scales).reshape(-1, *[1] * (codes.ndim - 1))
    chunk = (codes / divisors).astype(np.float16)
    stored: dict[str, Buffer] = {}
    zarr.create_array(
        MemoryStore(stored),
        data=chunk,
        chunks=chunk.shape,
        serializer=BytesCodec(endian="little"),
        compressors=Crc32cCodec(),  # momenta hardly compress, and the checksum is what counts
        fill_value=float("nan"),
        config={"write_empty_chunks": True},
        chunk_key_encoding={"name": "default", "separator": "."},  # no folder for every axis
        zarr_format=3,
        attributes={
            "source": source,
            "source_case": cases[source],
            "targets": list(targets),
            "target_cases": [cases[target] for target in targets],
            "scales": _as_json(scales),
            "quality": {name: _quality(name, quality[name], count) for name in sorted(quality)},
        },
    )
    files = {name: buffer.to_bytes() for name, buffer in sorted(stored.items())}
    marker = {"schema": SCHEMA, "files": {name: _digest(data) for name, data in files.items()}}
    files[MARKER] = (json.dumps(marker, indent=1) + "\n").encode()
    return _digest(files[MARKER]), files


def save_block(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a block so that `folder` exists only when it is whole; a whole one there stays.

    The caller is the only writer of that folder.
    """
    if folder.exists():
        if _holds(folder, files):
            return
        # Damaged: these bytes are what it had to be. It goes as it came, in one step.
        aside = _temporary(folder)
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    temporary = _temporary(folder)
    try:
        temporary.mkdir()
        for name, data in files.items():
            with open(temporary / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        atomic.sync_folder(temporary)
        os.rename(temporary, folder)
        atomic.sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_committed(folder: Path) -> bool:
    """Return whether a block lies there."""
    return (folder / MARKER).is_file()


def read_block(folder: Path) -> Block:
    """Read what a committed block is about.

    Raises:
        DamagedBlockError: If its bytes have changed.
        StoreError: If a file cannot be read.
    """
    metadata = json.loads(_file(folder, _METADATA, _hashes(folder)))
    attributes = metadata["attributes"]
    return Block(
        name=folder.name,
        source=attributes["source"],
        targets=tuple(attributes["targets"]),
        code_shape=tuple(metadata["shape"][1:]),
        scales=_from_json(attributes["scales"]).astype(np.float32),
        quality={name: _from_json(row) for name, row in attributes["quality"].items()},
    )


def read_rows(folder: Path, block: Block) -> Array:
    """Read the (T, *code) float16 rows of a block; a row times its scale is the code.

    Every file is compared with its hash. The chunk is then what `encode_block` wrote, and is taken
    as it is: through Zarr's event loop and its thread, reading takes three times the CPU time.

    Raises:
        DamagedBlockError: If its bytes have changed.
        StoreError: If a file cannot be read.
    """
    hashes = _hashes(folder)
    files = {name: _file(folder, name, hashes) for name in hashes}
    shape = (len(block.targets), *block.code_shape)
    chunk = files["c" + ".0" * len(shape)]  # its checksum comes last
    return np.frombuffer(chunk, dtype="<f2", count=math.prod(shape)).reshape(shape)


def _hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a block, from its marker."""
    marker = json.loads(_file(folder, MARKER, {MARKER: folder.name}))
    if marker["schema"] != SCHEMA:
        problem = f"has schema {marker['schema']}, this medscale has {SCHEMA}"
        raise DamagedBlockError(folder / MARKER, problem, folder)
    return dict(marker["files"])


def _file(folder: Path, name: str, hashes: Mapping[str, str]) -> bytes:
    """Return a file's bytes once they are known to be those that were written."""
    path = folder / name
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedBlockError(path, "is missing", folder) from None
    except PermissionError:
        raise StoreError(f"cannot read {path}: permission denied; ask its owner") from None
    except OSError as error:
        raise DamagedBlockError(path, f"cannot be read ({error.strerror})", folder) from error
    if _digest(data) != hashes[name]:
        raise DamagedBlockError(path, "has changed since it was written", folder)
    return data


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.tmp-{uuid.uuid4().hex}")


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == data for name, data in files.items())
    except OSError:
        return False


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _quality(name: str, values: Array, count: int) -> list[float | None]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (count,):
        raise StoreError(
            f"quality {name!r} of {count} targets has the shape ({count},); got {numbers.shape}"
        )
    if np.isinf(numbers).any():
        raise StoreError(f"quality {name!r} is infinite: give NaN where there is no number")
    return _as_json(numbers)


def _as_json(numbers: Array) -> list[float | None]:
    """Return numbers that survive JSON, which has no NaN."""
    return [None if np.isnan(number) else float(number) for number in numbers]


def _from_json(numbers: Sequence[Any]) -> Array:
    return np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)

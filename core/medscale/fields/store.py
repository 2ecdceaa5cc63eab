"""The field store: what registration found between pairs of the pool, kept for good.

    <folder>/<key>/store.json                   the identity, and the schema
    <folder>/<key>/sources/<source>/<block>/    codes onto some targets (`medscale.fields.blocks`)
    <folder>/<key>/locks/                       who fills a source, and who writes to it just now

The key is the hash of the identity: registrar, options, image shape and whatever else makes the
same pair another code. Sources and targets are named by the hashes of their prepared pixels, so
one store serves every study with those images, and each study reads the pairs of its own pool
alone. Blocks are immutable; a block that is deleted is simply missing.

Any number of processes may fill one store:

    with store.claim(source) as mine:
        if mine and (targets := store.missing(source, targets)):
            ...  # register, a block of targets at a time
            store.add(source, block, codes, quality)

The look at `missing` comes after the claim: another process may have filled the source until then.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medscale import atomic
from medscale.data.cases import Array
from medscale.errors import StoreError, storing
from medscale.fields.blocks import (
    SCHEMA,
    Block,
    DamagedBlockError,
    Layout,
    encode_block,
    read_rows,
)
from medscale.fields.sources import SourceFolder, store_lock, visible
from medscale.identity import content_key

_HEAD = "store.json"
_KEY = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Stored pairs of one source, in the order asked for.

    Attributes:
        codes: (T, *code) float32, within 2^-11 of each code's largest magnitude; NaN where failed.
        failed: (T,) bool, True where registration failed: there is no deformation to use.
        quality: By name, (T,) float64; NaN where there is no number.
    """

    codes: Array
    failed: Array
    quality: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Something in a store that is not as it was written.

    Attributes:
        path: The file or folder at fault.
        problem: What is wrong with it.
    """

    path: Path
    problem: str


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """What a store holds, whichever pool it is for.

    Attributes:
        identity: Registrar, options and whatever else the codes depend on.
        code_shape: The shape of one code; None while the store is empty.
        sources: Images that are moved in at least one pair.
        pairs: Different pairs, failed ones included.
        failed: Pairs whose registration failed.
        bytes: Room taken on the disk, folders and locks included.
        quality: By name, (pairs - failed,) numbers about the pairs that have a code.
    """

    identity: Mapping[str, Any]
    code_shape: tuple[int, ...] | None
    sources: int
    pairs: int
    failed: int
    bytes: int
    quality: Mapping[str, Array]


class FieldStore:
    """Codes of directed pairs, from a source (moving image) to targets (fixed images).

    Args:
        folder: Where stores are kept; this one's own folder in it is made by the first write.
        identity: JSON that says all that the codes depend on, but the images.
        pool: The case of each image that may be used, by `array_key` of its prepared pixels.
            Everything else, validation and test images above all, is refused.

    Raises:
        StoreError: If that store has another schema, its store.json is damaged, or a key of the
            pool is none.
    """

    def __init__(
        self, folder: Path, *, identity: Mapping[str, Any], pool: Mapping[str, str]
    ) -> None:
        for key, case in pool.items():
            if not _KEY.fullmatch(key):
                raise StoreError(
                    f"the pool names the image of {case} {key!r}; expected the 32 hexadecimal "
                    "digits of its array_key"
                )
        self.root = folder / content_key(identity)
        self._pool = dict(pool)
        head = {"schema": SCHEMA, "identity": identity}
        self._head = (json.dumps(head, indent=1, sort_keys=True) + "\n").encode()
        self._sources: dict[str, SourceFolder] = {}
        self._layout: Layout | None = None
        if self._has_head() and (problem := self._head_problem()):
            raise StoreError(f"{self.root / _HEAD} {problem}")

    def add(
        self, source: str, targets: Sequence[str], codes: Array, quality: Mapping[str, Array]
    ) -> None:
        """Keep the codes of one source onto some targets, for good.

        Pairs that are there already do no harm: the new block stands beside the old one.

        Args:
            source: Key of the moving image.
            targets: Keys of the T fixed images, all different.
            codes: (T, *code) floats; a row of NaN alone says that this registration failed, so
                that nobody tries it for ever.
            quality: By name, (T,) numbers about each pair that need no label, such as the
                similarity reached or the share of folded voxels; NaN where there is none.

        Raises:
            StoreError: If an image is not in the pool, a code is neither finite nor all NaN, or
                codes and names of quality are not like those that are there.
            StorageError: If the disk is full, read-only or forbidden.
        """
        self._admit(source, targets)
        name, files = encode_block(source, targets, codes, quality, self._pool)
        layout, known = Layout(np.shape(codes)[1:], tuple(sorted(quality))), self._find_layout()
        if known is not None and layout != known:
            raise StoreError(
                f"{self.root} keeps {known}; got {layout}: raise the registrar's behavior where "
                "its codes have changed"
            )
        with storing(self.root):
            self._write_head()
            self._source(source).save(name, files)

    def missing(self, source: str, targets: Sequence[str]) -> list[str]:
        """Return the targets that nobody has tried yet, in their order; failed ones were tried.

        Raises:
            StoreError: If an image is not in the pool, or a block of this source is damaged.
        """
        self._admit(source, targets)
        index = self._source(source).index()
        return [target for target in targets if target not in index]

    def read(self, source: str, targets: Sequence[str]) -> Pairs:
        """Return stored pairs, in the order of the targets.

        Every byte is checked on its way.

        Raises:
            StoreError: If an image is not in the pool, a pair is missing, or a block that is
                needed is damaged.
        """
        self._admit(source, targets)
        folder = self._source(source)
        index = folder.index()
        absent = [target for target in targets if target not in index]
        if absent:
            raise StoreError(
                f"{self.root} has no deformation of {self._pool[source]} onto "
                f"{self._pool[absent[0]]} ({len(absent)} of the {len(targets)} asked for are "
                "missing): run `medscale register` to make them"
            )
        places: dict[str, list[int]] = {}
        for position, target in enumerate(targets):
            block, _ = index[target]
            self._check(folder.path / block.name, block)
            places.setdefault(block.name, []).append(position)
        layout = self._find_layout() or Layout((), ())
        codes = np.empty((len(targets), *layout.code_shape), dtype=np.float32)
        failed = np.empty(len(targets), dtype=bool)
        quality = {name: np.empty(len(targets)) for name in layout.quality}
        for positions in places.values():
            served = [index[targets[position]] for position in positions]
            block, rows = served[0][0], [row for _, row in served]
            units = read_rows(folder.path / block.name, block)[rows].astype(np.float32)
            codes[positions] = units * block.scales[rows].reshape(-1, *[1] * (units.ndim - 1))
            failed[positions] = block.failed[rows]
            for name, numbers in quality.items():
                numbers[positions] = block.quality[name][rows]
        return Pairs(codes=codes, failed=failed, quality=quality)

    @contextmanager
    def claim(self, source: str) -> Iterator[bool]:
        """Claim a source for filling; yields False where another process has it.

        Look at `missing` again once it is yours: it may have been filled meanwhile. The claim is a
        lock of the operating system and ends with the process, however it ends. It shares out
        work; `add` is safe without it.

        Raises:
            StoreError: If the image is not in the pool.
            StorageError: If the store cannot be written.
        """
        self._admit(source, ())
        with ExitStack() as held:
            with storing(self.root):
                mine = held.enter_context(self._source(source).claim())
            yield mine

    def verify(self) -> list[Damage]:
        """Read every byte and return what is wrong; temporary folders are nobody's loss."""
        damages = []
        # A claim comes before the head, the head before any source.
        begun = self._has_head() or (self.root / "sources").exists()
        if begun and (problem := self._head_problem()):
            damages.append(Damage(path=self.root / _HEAD, problem=problem))
        for source in self._stored():
            for folder in source.folders():
                try:
                    block = source.read(folder)
                    self._check(folder, block)
                    read_rows(folder, block)
                except DamagedBlockError as error:
                    damages.append(Damage(path=error.path, problem=error.problem))
        return damages

    def info(self) -> StoreInfo:
        """Return what the store holds, for every pool; reads no codes.

        Raises:
            StoreError: If a block is damaged.
        """
        indices = [index for source in self._stored() if (index := source.index())]
        layout = self._find_layout()
        served = [pair for index in indices for pair in index.values()]
        good = [(block, row) for block, row in served if not block.failed[row]]
        return StoreInfo(
            identity=json.loads(self._head)["identity"],
            code_shape=layout.code_shape if layout else None,
            sources=len(indices),
            pairs=len(served),
            failed=len(served) - len(good),
            bytes=_bytes_on_disk(self.root),
            quality={
                name: np.array([block.quality[name][row] for block, row in good])
                for name in (layout.quality if layout else ())
            },
        )

    def _admit(self, source: str, targets: Sequence[str]) -> None:
        for key in (source, *targets):
            if key not in self._pool:
                raise StoreError(
                    f"image {key} is not in the pool of {len(self._pool)} images: validation and "
                    "test images never enter a field store; ask for pairs of the pool"
                )

    def _source(self, key: str) -> SourceFolder:
        return self._sources.setdefault(key, SourceFolder(self.root, key))

    def _stored(self) -> list[SourceFolder]:
        return [self._source(key) for key in visible(self.root / "sources")]

    def _find_layout(self) -> Layout | None:
        """Return what the blocks that are there look like; None in an empty store."""
        if self._layout is None:
            for source in self._stored():
                for folder in source.folders():
                    # A damaged block is for those to hear of who need it.
                    with suppress(DamagedBlockError):
                        self._layout = source.read(folder).layout
                        return self._layout
        return self._layout

    def _check(self, folder: Path, block: Block) -> None:
        """Refuse a block that is whole but unlike the others."""
        known = self._find_layout()
        if block.layout != known:
            raise DamagedBlockError(folder, f"keeps {block.layout}, others {known}", folder)

    def _has_head(self) -> bool:
        return (self.root / _HEAD).exists()

    def _write_head(self) -> None:
        """Write store.json, which comes before any block."""
        if self._has_head():
            return
        with store_lock(self.root, "head"):
            for left in self.root.glob(f".{_HEAD}.tmp-*"):
                left.unlink()  # by a killed writer: this is the only one
            if not self._has_head():
                atomic.write_bytes(self.root / _HEAD, self._head)

    def _head_problem(self) -> str | None:
        """Return what is wrong with store.json, and what to do."""
        try:
            data = (self.root / _HEAD).read_bytes()
        except FileNotFoundError:
            return "is missing: the next write makes it anew"
        except OSError as error:
            return f"cannot be read ({error.strerror}): check the disk and its permissions"
        if data == self._head:
            return None
        try:
            schema = json.loads(data)["schema"]
        except (ValueError, TypeError, KeyError):
            schema = SCHEMA
        if schema != SCHEMA:
            return (
                f"has schema {schema}, this medscale has {SCHEMA}: use the medscale that wrote it, "
                f"or delete {self.root} and run `medscale register`"
            )
        return "has changed since it was written: delete this file, the next write makes it anew"


def _bytes_on_disk(folder: Path) -> int:
    """Return what `du` says, or the sum of sizes where the platform does not count blocks."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in (".", *files):
            with suppress(FileNotFoundError):  # a temporary file of somebody who writes now
                status = os.lstat(os.path.join(path, name))
                total += getattr(status, "st_blocks", 0) * 512 or status.st_size
    return total

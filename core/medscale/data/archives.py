"""Unpacking archives that come from elsewhere: nothing lands outside, nothing is half there."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib.util
import io
import lzma
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from medscale.data.member_writer import Limits, Member, MemberWriter, refused
from medscale.data.members import Kind, RefusedMemberError
from medscale.data.progress import Progress, Step, silent
from medscale.errors import DataError, StoreError, explain_os_error

_CHUNK = 1 << 20
_TAR_BLOCK = 512
_LONGEST_LINK = 4096


def extract(
    archive: Path, target: Path, *, limits: Limits | None = None, progress: Progress = silent
) -> None:
    """Unpack an archive into a new folder, which appears only when it is whole.

    The kind of archive (tar, also packed with gz, bz2 or xz; zip; 7z; a single gz file) is told
    by its content.

    Args:
        archive: The archive.
        target: The folder to make; it must not exist.
        limits: What it may grow to.
        progress: Told how far it is.

    Raises:
        DataError: If the archive is damaged, of no known kind, or has a member that must not be
            unpacked; names archive and member.
        StoreError: If the folder exists or cannot be written.
    """
    if os.path.lexists(target):
        raise StoreError(f"{target} exists already: move or delete it, then try again")
    with staging_folder(target) as staging:
        unpack(archive, staging, limits=limits or Limits(), progress=progress)
        staging.rename(target)


@contextlib.contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside the target; whatever is left in it at the end is removed.

    Its name starts with a dot, so that a process that is killed leaves nothing that looks whole.
    `leftovers` finds what such a process left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.partial-{os.getpid()}-{secrets.token_hex(4)}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def leftovers(target: Path) -> list[Path]:
    """Return the temporary folders that killed processes left beside the target."""
    return sorted(target.parent.glob(f".{target.name}.partial-*"))


def unpack(archive: Path, folder: Path, *, limits: Limits, progress: Progress = silent) -> None:
    """Unpack an archive into an existing, empty folder of the caller's own.

    Raises:
        DataError: As `extract`.
        StoreError: As `extract`.
    """
    try:
        writer = MemberWriter(archive, folder, limits)
        kind = _kind_of(archive)
        if kind == "zip":
            _unpack_zip(archive, writer, progress)
        elif kind == "7z":
            _unpack_7z(archive, folder, writer)
        else:
            _unpack_stream(archive, kind, writer, progress)
        writer.finish()
    except RefusedMemberError as error:
        raise DataError(f"{archive.name} is not unpacked: {error}") from None
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise _damaged(archive, str(error)) from error
    except NotImplementedError as error:
        raise DataError(f"{archive.name} uses a packing method that is unknown: {error}") from error
    except OSError as error:
        # Decompressors raise plain OSErrors, which carry no number, for damaged streams.
        if error.errno is None:
            raise _damaged(archive, str(error)) from error
        raise explain_os_error(error, str(folder)) or DataError(
            f"cannot unpack {archive.name}: {error.strerror} ({error.filename})"
        ) from error


def _damaged(archive: Path, why: str) -> DataError:
    return DataError(
        f"{archive.name} is damaged or cut short ({why or 'unexpected end'}): get it again"
    )


def require_7z(name: str) -> None:
    """Refuse a 7z archive where the package that reads it is missing.

    Raises:
        DataError: Says what to install.
    """
    if importlib.util.find_spec("py7zr") is None:
        raise DataError(
            f"{name} is a 7z archive, which takes one more package: pip install py7zr (or unpack "
            "it yourself and import the folder)"
        )


# --- streams: tar and single gz files -------------------------------------------------------


class _Measured(io.BufferedIOBase):
    """A stream that knows how much was read from it and remembers the end of that."""

    def __init__(self, stream: IO[bytes], check: Callable[[int], None]) -> None:
        super().__init__()
        self._stream = stream
        self._check = check
        self._recent: deque[bytes] = deque(maxlen=4)
        self.produced = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as the stream does."""
        data = self._stream.read(-1 if size is None else size)
        self.produced += len(data)
        self._recent.append(data)
        self._check(self.produced)
        return data

    def block_at(self, offset: int) -> bytes:
        """Return the tar block at an offset near the end of what was read."""
        recent = b"".join(self._recent)
        start = offset - (self.produced - len(recent))
        return recent[start : start + _TAR_BLOCK] if start >= 0 else b""


def _open_stream(raw: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if kind == "bz2":
        return bz2.BZ2File(raw)
    if kind == "xz":
        return lzma.LZMAFile(raw)
    return raw


def _unpack_stream(archive: Path, kind: str, writer: MemberWriter, progress: Progress) -> None:
    size = archive.stat().st_size
    with archive.open("rb") as raw:
        stream = _open_stream(raw, kind)
        head = stream.read(_TAR_BLOCK)
        if not _is_tar(head, archive.name):
            if kind != "gz":
                raise DataError(f"{archive.name} holds no tar archive, expected one inside {kind}")
            name = archive.name.removesuffix(".gz")
            raw.seek(0)
            writer.write(Member(name=name, kind=Kind.FILE, open=lambda: _open_stream(raw, kind)))
            progress(Step(task=f"unpacking {archive.name}", done=size, total=size))
            return
        raw.seek(0)
        measured = _Measured(
            _open_stream(raw, kind),
            # Headers and padding are read too, so a stream is somewhat longer than its files.
            lambda produced: writer.check_growth(produced // 2, "(headers)"),
        )
        with tarfile.open(fileobj=measured, mode="r|", bufsize=_CHUNK) as tar:
            while (info := tar.next()) is not None:
                writer.write(_tar_member(tar, info))
                progress(Step(task=f"unpacking {archive.name}", done=raw.tell(), total=size))
            # tarfile takes a damaged header, or no more data, for the end of the archive; the
            # real end is a block of zeros.
            if measured.block_at(tar.offset) != bytes(_TAR_BLOCK):
                raise _damaged(archive, f"it does not end where its list ends, at {tar.offset}")


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(name=info.name, kind=Kind.DIRECTORY)
    if info.issym():
        return Member(name=info.name, kind=Kind.LINK, target=info.linkname)
    if info.islnk():
        return Member(name=info.name, kind=Kind.FILE, target=info.linkname)
    if not info.isreg():
        raise refused(info.name, "is a device or another special file")

    def content() -> IO[bytes]:
        stream = tar.extractfile(info)
        if stream is None:
            raise refused(info.name, "has no content")
        return stream

    return Member(name=info.name, kind=Kind.FILE, open=content)


# --- zip and 7z -----------------------------------------------------------------------------


def _unpack_zip(archive: Path, writer: MemberWriter, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as packed:
        entries = packed.infolist()
        total, done = sum(entry.file_size for entry in entries), 0
        writer.check_growth(total, "(all together)")
        for entry in entries:
            writer.write(_zip_member(packed, entry))
            done += entry.file_size
            progress(Step(task=f"unpacking {archive.name}", done=done, total=total))


def _zip_member(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    # `filename` ends at the first NUL; what the archive really says is in `orig_filename`.
    name = entry.orig_filename
    if entry.flag_bits & 0x1:
        raise refused(name, "is encrypted")
    mode = entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        with packed.open(entry) as stream:
            target = stream.read(_LONGEST_LINK).decode("utf-8", "surrogateescape")
        return Member(name=name, kind=Kind.LINK, target=target)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(name, "is a device or another special file")
    if name.endswith(("/", "\\")):
        return Member(name=name, kind=Kind.DIRECTORY)
    return Member(name=name, kind=Kind.FILE, open=lambda: packed.open(entry))


def _unpack_7z(archive: Path, folder: Path, writer: MemberWriter) -> None:
    require_7z(archive.name)
    import py7zr

    try:
        with py7zr.SevenZipFile(archive) as packed:
            if packed.needs_password():
                raise DataError(f"{archive.name} is not unpacked: it is encrypted")
            for entry in packed.files:
                if entry.is_symlink or entry.is_junction or entry.is_socket:
                    raise refused(entry.filename, "is a link or a special file")
                writer.admit(entry.filename, Kind.DIRECTORY if entry.is_directory else Kind.FILE)
                writer.count(0 if entry.is_directory else entry.uncompressed, entry.filename)
            packed.extractall(path=folder)
    except (py7zr.exceptions.ArchiveError, ValueError) as error:
        if isinstance(error, RefusedMemberError):
            raise
        raise _damaged(archive, str(error)) from error


# --- telling what it is ---------------------------------------------------------------------

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
)


def _kind_of(archive: Path) -> str:
    with archive.open("rb") as stream:
        head = stream.read(_TAR_BLOCK)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if _is_tar(head, archive.name):
        return "tar"
    page = head.lstrip().lower().startswith((b"<!doctype", b"<html"))
    hint = "it is a web page, perhaps of a log-in or an error" if page else "perhaps it is damaged"
    raise DataError(f"{archive.name} is no archive, expected tar, zip, 7z or gz: {hint}")


def _is_tar(head: bytes, name: str) -> bool:
    # The first tars (before POSIX) have no magic; their names must do.
    return head[257:262] == b"ustar" or (len(head) == _TAR_BLOCK and ".tar" in name)


__all__ = ["Limits", "extract", "leftovers", "require_7z", "staging_folder", "unpack"]

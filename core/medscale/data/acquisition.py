"""Getting a public set onto this machine: fetched from its publisher, or imported from a path."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from medscale.data.archives import Limits, leftovers, require_7z, staging_folder, unpack
from medscale.data.downloads import check_room, download
from medscale.data.manifests import Manifest, SourceFile
from medscale.data.progress import Progress, Step, silent
from medscale.data.sets import (
    SetRecord,
    SourceRecord,
    download_folder,
    hash_file,
    how_to_get,
    locked,
    reading_folder,
    set_folder,
    set_status,
    write_marker,
)
from medscale.data.verification import check_readable
from medscale.errors import DataError, StoreError, explain_os_error

_DOWNLOAD_PARTS = (".part", ".part.json")


def fetch(manifest: Manifest, *, progress: Progress = silent) -> SetRecord:
    """Download and unpack a set, unless it is there.

    A fetch that was interrupted, or killed, is taken up by the next one.

    Args:
        manifest: The set.
        progress: Told how far each download and archive is.

    Returns:
        The record of the set; its notes are for the user.

    Raises:
        DataError: If no script may download it (says where to get it), a download fails, or an
            archive is not what it has to be.
        StoreError: If the disk is full or cannot be written, or another process is at this set.
    """
    status = set_status(manifest.name)
    if status.record is not None:
        return status.record
    if not manifest.scriptable:
        raise DataError(f"{manifest.name} cannot be fetched: {how_to_get(manifest)}")
    folder = set_folder(manifest.name)
    _refuse_foreign(folder, manifest)
    for source in manifest.files:
        if source.archive == "7z":
            require_7z(source.name)
    with _on_disk(folder), locked(manifest.name):
        downloads = download_folder(manifest.name)
        downloads.mkdir(parents=True, exist_ok=True)
        _clean(manifest, folder, downloads)
        check_room(downloads, _space_needed(manifest, downloads), f"fetching {manifest.name}")
        files = [
            download(manifest, source, downloads, progress=progress) for source in manifest.files
        ]
        sources = [
            _record_of(source, file, progress)
            for source, file in zip(manifest.files, files, strict=True)
        ]
        notes = tuple(
            f"no hash is published for {source.name}, so nothing vouches for what came; its "
            f"{source.algorithm} is {source.digest}: compare it with a colleague's"
            for source in sources
            if not source.published
        )
        record = SetRecord(
            manifest=manifest.name, how="fetched", sources=tuple(sources), notes=notes
        )

        def fill(data: Path) -> None:
            try:
                _unpack_all(manifest, manifest.files, files, data, progress)
            except DataError:
                # Without a published hash only unpacking shows that a file is not what it has to
                # be; kept, it would fail every further fetch as well.
                for source, file in zip(manifest.files, files, strict=True):
                    if not source.digest:
                        file.unlink(missing_ok=True)
                raise

        _commit(manifest, record, fill)
    return record


def import_set(
    manifest: Manifest, path: Path, *, link: bool = False, progress: Progress = silent
) -> SetRecord:
    """Take over a set that the user has already.

    Args:
        manifest: The set.
        path: Its archive, a folder of all its archives, or the unpacked folder.
        link: Leave an unpacked folder where it is and point to it, instead of copying.
        progress: Told how far it is.

    Returns:
        The record of the set; its notes are for the user.

    Raises:
        DataError: If the path is not that set, as far as its plugin can tell.
        StoreError: If the set is there already, or the disk is full or cannot be written.
    """
    folder = set_folder(manifest.name)
    path = path.expanduser().absolute()
    if set_status(manifest.name).record is not None:
        raise StoreError(f"{manifest.name} is here already: delete {folder} to import it anew")
    _refuse_foreign(folder, manifest)
    if not path.exists():
        raise DataError(f"{path} does not exist, expected an archive or a folder")
    archives = _archives_at(manifest, path)
    if link and archives:
        raise DataError(
            f"--link takes an unpacked folder, got archives at {path}: leave out --link"
        )
    with _on_disk(folder), locked(manifest.name):
        _clean(manifest, folder, download_folder(manifest.name))
        if archives:
            sources = [_record_of(source, file, progress) for source, file in archives]
            record = SetRecord(
                manifest=manifest.name,
                how="unpacked",
                origin=str(path),
                sources=tuple(sources),
                notes=_strange_hashes(sources, [source for source, _ in archives]),
            )

            def fill(data: Path) -> None:
                files = [file for _, file in archives]
                _unpack_all(manifest, [source for source, _ in archives], files, data, progress)
                try:
                    check_readable(manifest, reading_folder(manifest, data))
                except DataError as error:
                    # The hidden folder is about to go, so its path would tell nobody anything.
                    raise DataError(str(error).replace(str(data), path.name)) from error

        else:
            check_readable(manifest, reading_folder(manifest, path))
            record = SetRecord(
                manifest=manifest.name, how="linked" if link else "copied", origin=str(path)
            )

            def fill(data: Path) -> None:
                if link:
                    data.symlink_to(path, target_is_directory=True)
                else:
                    _copy_tree(path, data, manifest, progress)

        _commit(manifest, record, fill)
    return record


def _commit(manifest: Manifest, record: SetRecord, fill: Callable[[Path], None]) -> None:
    """Make a set in a hidden folder, and give it its name when it is whole."""
    folder = set_folder(manifest.name)
    with staging_folder(folder) as staging:
        fill(staging / "data")
        write_marker(staging, record)
        staging.rename(folder)


def _unpack_all(
    manifest: Manifest,
    sources: Sequence[SourceFile],
    files: Sequence[Path],
    data: Path,
    progress: Progress,
) -> None:
    size = manifest.unpacked_size
    limits = Limits(total=2 * size + 1_000_000_000) if size else Limits()
    data.mkdir()
    for source, file in zip(sources, files, strict=True):
        place = data / source.into
        place.mkdir(parents=True, exist_ok=True)
        if source.archive:
            unpack(file, place, limits=limits, progress=progress)
        else:
            shutil.copyfile(file, place / source.name)


def _record_of(source: SourceFile, file: Path, progress: Progress) -> SourceRecord:
    """Hash a file that is about to be used.

    What was fetched has been checked on arrival, but may lie there since an earlier attempt.
    """
    algorithm = source.algorithm or "sha256"
    return SourceRecord(
        name=file.name,
        size=file.stat().st_size,
        algorithm=algorithm,
        digest=hash_file(file, algorithm, progress),
        published=bool(source.digest),
    )


def _strange_hashes(
    records: Sequence[SourceRecord], sources: Sequence[SourceFile]
) -> tuple[str, ...]:
    """Say which files are not the published ones.

    Not an error: mirrors repack archives, and the user chose this file.
    """
    return tuple(
        f"{record.name} has {record.algorithm} {record.digest}"
        + (f", not the published {source.digest}" if source.digest else "; none is published")
        + ": medscale cannot tell whether it is the publisher's file"
        for record, source in zip(records, sources, strict=True)
        if record.digest != source.digest
    )


def _archives_at(manifest: Manifest, path: Path) -> list[tuple[SourceFile, Path]]:
    """Return the publisher's files at a path; none where it is an unpacked folder."""
    if path.is_dir():
        found = [(source, path / source.name) for source in manifest.files if source.archive]
        return found if found and all(file.is_file() for _, file in found) else []
    packed = [source for source in manifest.files if source.archive]
    named = [source for source in manifest.files if source.name.lower() == path.name.lower()]
    if len(packed) > 1:
        names = ", ".join(source.name for source in packed)
        raise DataError(
            f"{manifest.name} has {len(packed)} archives ({names}): give the folder that holds all"
        )
    if named or packed:
        return [((named or packed)[0], path)]
    # A set without scriptable files, such as a challenge's: whatever the user was given.
    return [(SourceFile(name="archive", archive="zip"), path)]


def _copy_tree(source: Path, target: Path, manifest: Manifest, progress: Progress) -> None:
    folders: list[Path] = []
    files: list[Path] = []
    for parent, names, leaves in os.walk(source):
        here = Path(parent)
        linked = next((here / name for name in names if (here / name).is_symlink()), None)
        if linked is not None:
            raise DataError(f"{linked} is a link to a folder: import with --link, or replace it")
        folders += [here / name for name in names]
        files += [here / name for name in leaves]
    sizes = [file.stat().st_size for file in files]
    total, done = sum(sizes), 0
    check_room(target.parent, total, f"copying {manifest.name}")
    target.mkdir()
    for folder in folders:
        (target / folder.relative_to(source)).mkdir()
    for file, size in zip(files, sizes, strict=True):
        shutil.copyfile(file, target / file.relative_to(source))
        done += size
        progress(Step(task=f"copying {manifest.name}", done=done, total=total))


def _space_needed(manifest: Manifest, downloads: Path) -> int:
    """Return about how many bytes a fetch still takes, as far as that is known."""
    open_files = [file for file in manifest.files if not (downloads / file.name).is_file()]
    unpacked = manifest.unpacked_size or sum(file.size or 0 for file in manifest.files)
    return sum(file.size or 0 for file in open_files) + unpacked


def _clean(manifest: Manifest, folder: Path, downloads: Path) -> None:
    """Remove what killed processes left; only while the set is locked."""
    for rest in leftovers(folder):
        shutil.rmtree(rest, ignore_errors=True)
    ours = {source.name + ending for source in manifest.files for ending in ("", *_DOWNLOAD_PARTS)}
    if downloads.is_dir():
        for file in downloads.iterdir():
            # The downloader's own temporary files.
            if file.name.startswith("tmp") and file.name not in ours:
                file.unlink(missing_ok=True)


def _refuse_foreign(folder: Path, manifest: Manifest) -> None:
    if os.path.lexists(folder):
        raise StoreError(
            f"{set_status(manifest.name).detail}: move or delete {folder}, then try again"
        )


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    """Turn a full or forbidden disk into one sentence."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, str(folder)) or StoreError(
            f"cannot read or write {error.filename or folder}: {error.strerror or error}"
        ) from error

"""Downloading one file: continued where it stopped, whole and checked, or not there at all."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medscale.data.manifests import Manifest, SourceFile
from medscale.data.progress import Progress, Step, in_words, silent
from medscale.errors import DataError, StoreError, explain_os_error

ATTEMPTS = 4
"""How often a download is tried while the network or the server fails."""

PAUSE_S = 2.0
"""Seconds before the second attempt; doubled before each further one."""

_CHUNK = 1 << 20
_CONNECT_S, _SILENCE_S = 15.0, 60.0
_SPARE = 100_000_000
"""Bytes that stay free on a disk."""


def download(
    manifest: Manifest,
    source: SourceFile,
    folder: Path,
    *,
    progress: Progress = silent,
) -> Path:
    """Download one file of a set, unless it is there and right.

    The file appears under its name only when it is whole and has the published hash. What an
    interrupted download left is continued where the server can, and else begun again.

    Args:
        manifest: The set.
        source: The file.
        folder: Where to put it.
        progress: Told how far it is.

    Raises:
        DataError: If it cannot be had, or is not what was published.
        StoreError: If the disk is full or cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    target = folder / source.name
    for attempt in range(1, ATTEMPTS + 1):
        try:
            pooch.retrieve(
                source.url,
                known_hash=source.known_hash,
                fname=source.name,
                path=folder,
                downloader=_Continued(target, source, progress),
            )
        except _TryAgainError as error:
            if attempt == ATTEMPTS:
                raise DataError(
                    f"cannot download {source.name}: {error}; what has arrived is kept, so run "
                    f"`medscale data fetch {manifest.name}` again later"
                ) from error
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        except OSError as error:
            raise explain_os_error(error, str(folder)) or _hopeless(
                manifest, source, str(error)
            ) from error
        except ValueError as error:
            raise _wrong_hash(manifest, source, str(error)) from error
        else:
            break
    return target


class _TryAgainError(Exception):
    """The network or the server failed in a way that may pass."""


class _Continued:
    """A downloader for pooch that keeps what has arrived and asks for the rest.

    The rest is asked for on condition that the server's file is still the same one (`If-Range`
    with its ETag); else it sends all of it anew.
    """

    def __init__(self, target: Path, source: SourceFile, progress: Progress) -> None:
        self._part = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._source = source
        self._progress = progress

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Download to `output_file`, as pooch asks its downloaders to."""
        import requests
        from urllib3.exceptions import HTTPError

        have, tag = self._arrived(url)
        headers = {"Accept-Encoding": "identity", "User-Agent": "medscale"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": tag}
        try:
            with requests.get(
                url, stream=True, headers=headers, timeout=(_CONNECT_S, _SILENCE_S)
            ) as response:
                self._check_answer(response, url)
                self._receive(response, url, have)
        except (requests.RequestException, HTTPError) as error:
            raise _TryAgainError(
                f"the connection to {urlsplit(url).hostname} failed "
                f"({_innermost(error)}) at {in_words(self._size())}"
            ) from error
        self._part.replace(output_file)
        self._note.unlink(missing_ok=True)

    def _check_answer(self, response: Any, url: str) -> None:
        host = urlsplit(url).hostname
        status, reason = response.status_code, response.reason
        insecure = urlsplit(url).scheme == "https" and any(
            urlsplit(answer.url).scheme != "https" for answer in (*response.history, response)
        )
        if insecure:
            raise OSError(f"{host} leads to an address that is not secure, {response.url}")
        if status == 416:
            # There is no rest: the file has shrunk, or all of it had arrived.
            self._part.unlink(missing_ok=True)
        if status in (408, 416, 425, 429) or status >= 500:
            raise _TryAgainError(f"{host} answered {status} {reason}")
        if status not in (200, 206):
            raise OSError(f"{host} answered {status} {reason}")

    def _receive(self, response: Any, url: str, have: int) -> None:
        headers = response.headers
        if response.status_code == 200:
            have = 0
        elif not headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            self._part.unlink(missing_ok=True)
            raise _TryAgainError("the server sent another part than was asked for")
        length = headers.get("Content-Length")
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        total = have + int(length) if length is not None else None
        if total is None and not chunked and not self._source.digest:
            raise OSError("the server does not say how long it is, and no hash is published")
        if total is not None:
            _check_room(self._part.parent, total - have, self._source.name)
        self._note.write_text(json.dumps({"url": url, "tag": headers.get("ETag", "")}))
        task, done = f"downloading {self._source.name}", have
        with self._part.open("ab" if have else "wb") as sink:
            # The bytes as they are sent: a server that declares a .tar.gz to be a packed .tar
            # would otherwise have it unpacked on the way.
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                sink.write(chunk)
                done += len(chunk)
                self._progress(Step(task=task, done=done, total=total))
        if total is not None and done != total:
            raise _TryAgainError(f"only {done:,} of {total:,} bytes arrived")

    def _arrived(self, url: str) -> tuple[int, str]:
        """Return how many bytes can be built upon, and the tag of the file they belong to."""
        try:
            note = json.loads(self._note.read_text())
            tag = str(note["tag"])
            # A weak tag promises the same meaning, not the same bytes.
            if note["url"] == url and tag and not tag.startswith("W/"):
                return self._size(), tag
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, ""

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0


def _innermost(error: BaseException) -> str:
    """Return the last cause in a few words: requests nests three of them, with addresses."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip("()") or type(error).__name__


def _check_room(folder: Path, need: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if need + _SPARE > free:
        raise StoreError(
            f"{what} needs {in_words(need)} more in {folder}, which has {in_words(free)} free: "
            "free some space, or set MEDSCALE_DATA to a folder on a larger disk"
        )


def check_room(folder: Path, need: int, what: str) -> None:
    """Refuse work that the disk has no room for.

    Args:
        folder: On that disk; it need not exist yet.
        need: Bytes.
        what: What needs them, for the message.

    Raises:
        StoreError: If there is not enough.
    """
    while not folder.exists():
        folder = folder.parent
    _check_room(folder, need, what)


def _hopeless(manifest: Manifest, source: SourceFile, why: str) -> DataError:
    return DataError(f"cannot download {source.name}: {why} ({source.url}). {_by_hand(manifest)}")


def _wrong_hash(manifest: Manifest, source: SourceFile, message: str) -> DataError:
    got = re.search(r"but got ([0-9a-f]{32,})", message)
    return DataError(
        f"{source.name} has {source.algorithm} {got.group(1) if got else 'another'}, expected "
        f"{source.digest}: it was damaged on its way, or its publisher replaced it. Nothing was "
        f"kept; try again. {_by_hand(manifest)}"
    )


def _by_hand(manifest: Manifest) -> str:
    way = manifest.how or f"See {manifest.homepage} for downloading it by hand."
    return f"{way.rstrip('.')}. Then: `medscale data import {manifest.name} PATH`"

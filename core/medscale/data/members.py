"""Which members of an archive may be unpacked, decided by their names and links alone.

An archive is somebody else's list of paths. A member is refused when it could land outside the
folder it is unpacked into, on any platform, or when two members would be one file there. Links
are never made: they are unpacked as copies, so nothing can be written or read through them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import Enum

_DRIVE = re.compile(r"^[A-Za-z]:")


class Kind(Enum):
    """What a member becomes."""

    FILE = "file"
    DIRECTORY = "folder"
    LINK = "link"


class RefusedMemberError(ValueError):
    """A member that must not be unpacked; the message completes "member X …"."""


def safe_parts(name: str) -> tuple[str, ...]:
    """Split a member's name into the parts of a relative path.

    Backslashes separate too, as archives made on Windows use them.

    Returns:
        The parts, empty for the archive's own root (`./`).

    Raises:
        RefusedMemberError: If the name is absolute, climbs, or cannot be shown and typed.
    """
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise RefusedMemberError("has control characters or undecodable bytes in its name")
    path = name.replace("\\", "/")
    if path.startswith("/"):
        raise RefusedMemberError("has an absolute path")
    if _DRIVE.match(path):
        raise RefusedMemberError("has a path with a drive letter")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise RefusedMemberError("climbs out of its folder with '..'")
    if any(not part.strip(". ") for part in parts):
        # Windows drops trailing dots and spaces, which turns ". ." into a folder itself.
        raise RefusedMemberError("has a part of nothing but dots and spaces")
    return parts


def link_target(parts: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the path that a symbolic link points to, as parts from the root of the archive.

    Args:
        parts: The link's own path.
        target: What it points to.

    Raises:
        RefusedMemberError: If that is outside.
    """
    path = target.replace("\\", "/")
    outside = RefusedMemberError(f"is a link that leads outside ({target!r})")
    if path.startswith("/") or _DRIVE.match(path):
        raise outside
    reached = list(parts[:-1])
    for step in path.split("/"):
        if step == ".." and not reached:
            raise outside
        if step == "..":
            reached.pop()
        elif step not in ("", "."):
            reached.append(step)
    return tuple(reached)


class Members:
    """The paths seen so far, so that no two of them are one file on some platform."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Kind, tuple[str, ...]]] = {}

    def add(self, parts: tuple[str, ...], kind: Kind) -> None:
        """Take note of a member and of the folders above it.

        Raises:
            RefusedMemberError: If it repeats another one (in other letter case or Unicode form
                counts, as many file systems do not tell these apart) or lies below a file or a
                link.
        """
        for depth in range(1, len(parts)):
            self._add_one(parts[:depth], Kind.DIRECTORY, implied=True)
        self._add_one(parts, kind, implied=False)

    def _add_one(self, parts: tuple[str, ...], kind: Kind, *, implied: bool) -> None:
        key = "/".join(_fold(part) for part in parts)
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = (kind, parts)
            return
        if kind is Kind.DIRECTORY and known == (kind, parts):
            return
        first = "/".join(known[1])
        if known[0] is Kind.DIRECTORY and kind is Kind.DIRECTORY:
            raise RefusedMemberError(f"differs from {first} only in letter case or Unicode form")
        if implied:
            raise RefusedMemberError(
                f"lies below {'/'.join(known[1])}, which is a {known[0].value}"
            )
        raise RefusedMemberError(f"repeats {'/'.join(known[1])}")


def _fold(part: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()).rstrip(". ")

"""Writing the members of an archive below one folder, each checked, and none beyond the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from medscale.data.members import Kind, Members, RefusedMemberError, link_target, safe_parts
from medscale.data.progress import in_words

_CHUNK = 1 << 20
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may grow to.

    Attributes:
        total: Bytes of all members together.
        ratio: Times the archive's own size that its members may take together.
        ratio_from: Bytes below which the ratio does not matter, as small text packs well.
        members: Number of members.
    """

    total: int = 200_000_000_000
    ratio: int = 1000
    ratio_from: int = 1 << 26
    members: int = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry of any kind of archive.

    Attributes:
        name: As the archive spells it.
        kind: What it becomes.
        target: Of a symbolic link, where it points to; of a hard link, the member it repeats.
        open: Opens the content of a file; None for links of both kinds.
    """

    name: str
    kind: Kind
    target: str = ""
    open: Callable[[], IO[bytes]] | None = None


class MemberWriter:
    """Writes members below one folder and keeps count.

    Args:
        archive: Whose members they are.
        folder: Where they go; empty.
        limits: What they may grow to.
    """

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self._archive_size = archive.stat().st_size
        self._folder = folder
        self._limits = limits
        self._members = Members()
        self._count = 0
        self._written = 0
        self._files: set[tuple[str, ...]] = set()
        self._links: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}

    def admit(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Check a member's name and take note of it; return the parts of its path.

        Raises:
            RefusedMemberError: If it must not be unpacked, or is one too many.
        """
        try:
            parts = safe_parts(name)
            if not parts and kind is not Kind.DIRECTORY:
                raise RefusedMemberError("has no name")
            self._count += 1
            if self._count > self._limits.members:
                raise RefusedMemberError(f"is one more than {self._limits.members:,} members")
            if parts:
                self._members.add(parts, kind)
        except RefusedMemberError as error:
            raise refused(name, error) from None
        return parts

    def write(self, member: Member) -> None:
        """Write one member; links wait for `finish`, as they may stand before their targets.

        Raises:
            RefusedMemberError: If it must not be unpacked, or grows over the limits.
        """
        parts = self.admit(member.name, member.kind)
        place = self._folder.joinpath(*parts)
        if member.kind is Kind.DIRECTORY:
            place.mkdir(parents=True, exist_ok=True)
        elif member.open is None:
            try:
                # A symbolic link counts from its own folder, a hard link from the root.
                own = parts if member.kind is Kind.LINK else ()
                self._links[parts] = (member.name, link_target(own, member.target))
            except RefusedMemberError as error:
                raise refused(member.name, error) from None
        else:
            self._copy(member.open(), place, member.name)
            self._files.add(parts)

    def finish(self) -> None:
        """Write the links, as copies of the files they lead to.

        Raises:
            RefusedMemberError: If a link leads to no file of the archive.
        """
        for parts, (name, target) in self._links.items():
            steps = 0
            while target in self._links and steps <= len(self._links):
                target, steps = self._links[target][1], steps + 1
            if target not in self._files:
                raise refused(name, "is a link to something that is no file of the archive")
            source = self._folder.joinpath(*target).open("rb")
            self._copy(source, self._folder.joinpath(*parts), name)

    def count(self, size: int, name: str) -> None:
        """Add to the bytes unpacked so far.

        Raises:
            RefusedMemberError: If they are over the limits.
        """
        self._written += size
        self.check_growth(self._written, name)

    def check_growth(self, size: int, name: str) -> None:
        """Refuse a size of all members together that is over the limits.

        Raises:
            RefusedMemberError: Names the member that brings it there.
        """
        limits = self._limits
        if size > limits.total:
            raise refused(name, f"brings the archive over {in_words(limits.total)}")
        if size > limits.ratio_from and size > limits.ratio * self._archive_size:
            raise refused(name, f"grows to over {limits.ratio} times the size of the archive")

    def _copy(self, source: IO[bytes], place: Path, name: str) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with source, place.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                self.count(len(chunk), name)
                sink.write(chunk)


def refused(name: str, why: RefusedMemberError | str) -> RefusedMemberError:
    """Return the error that names a member, shortened where its name is long."""
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    return RefusedMemberError(f"member {shown!r} {why}")

"""Finding installed plugins: the only module that touches stevedore and importlib.metadata.

Measured on stevedore 5.10, and why its defaults are not used: its disk cache keys on file times
rounded to 128 s, so a renamed entry point stays stale; cached entry points lose their
distribution; `ExtensionManager` imports everything; its conflict check misses duplicates that do
not stand side by side. So entry points are read live, and one is loaded at a time.

Measured on importlib.metadata of Python 3.11: importing it costs as much as three bare
interpreters, because it brings the e-mail parser. Folders on the path are therefore read here, by
the rules it follows itself (a test holds the two to the same answer), and only what is no plain
folder is left to it.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from medscale.spec import KINDS, group

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_KIND_OF_GROUP = {group(kind): kind for kind in KINDS}
_HEADER = re.compile(r"^(Name|Version): *(.+?)\s*$", re.MULTILINE)
_HEADERS_LIE_WITHIN = 4000
_HEADER_FILES = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


class Found(NamedTuple):
    """One entry point, as its distribution declares it.

    Attributes:
        kind: One of `medscale.spec.KINDS`.
        name: The name of the entry point.
        value: The object it points to, as `"module:NAME"`.
        distribution: Who declares it.
        version: The distribution's version.
        metadata: The distribution's metadata folder, or "" where it is not in a plain folder.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    metadata: str = ""


def find(path: Iterable[str] | None = None) -> list[Found]:
    """Return every declared plugin, importing none.

    The first distribution of a name on the path wins, as it does for the import system.

    Args:
        path: The folders to look into; by default wherever this process imports from.

    Returns:
        Plugins in the order of kind, name and distribution.
    """
    seen: set[str] = set()
    found: list[Found] = []
    for entry in sys.path if path is None else path:
        if entry and os.path.isfile(entry):
            found += _declared_elsewhere(_inside_file(entry), seen)
        else:
            found += _declared_in_folder(entry or os.curdir, seen)
    if path is None:
        for finder in sys.meta_path:
            # Import hooks may know distributions of their own; PathFinder's are those of sys.path.
            if hasattr(finder, "find_distributions") and finder is not PathFinder:
                found += _declared_elsewhere(_of_hook(finder), seen)
    return sorted(found)


def load(kind: str, name: str, value: str | None = None) -> Any:
    """Load one entry point through stevedore; whatever the import raises passes through.

    Args:
        kind: The kind of plugin.
        name: The name of the entry point.
        value: What it points to, where a scan has found that already.

    Raises:
        LookupError: If nothing declares that entry point.
    """
    import importlib.metadata

    from stevedore.named import NamedExtensionManager

    if value is None:
        values = [entry.value for entry in find() if (entry.kind, entry.name) == (kind, name)]
        if not values:
            raise LookupError(f"no distribution declares {name!r} in {group(kind)}")
        value = values[0]
    live = importlib.metadata.EntryPoint(name, value, group(kind))

    class Live(NamedExtensionManager):  # type: ignore[type-arg, unused-ignore]
        """Is handed the entry point found live instead of asking stevedore's disk cache."""

        def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
            return [live]

    def reraise(manager: object, entry_point: object, error: BaseException) -> None:
        raise error

    manager = Live(
        live.group,
        names=[name],
        invoke_on_load=False,
        on_load_failure_callback=reraise,
    )
    return manager[name].plugin


def find_object(path: str) -> Any:
    """Import `"package.module:Name"`; whatever the import raises passes through."""
    module, _, attributes = path.partition("[")[0].partition(":")
    place = importlib.import_module(module.strip())
    return functools.reduce(getattr, filter(None, attributes.strip().split(".")), place)


def editable_folder(distribution: str) -> str | None:
    """Return the source folder of an editable install, or None where it is a regular one."""
    import importlib.metadata
    import json
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        text = importlib.metadata.distribution(distribution).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return url2pathname(urlsplit(origin["url"]).path)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None, without importing it."""
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _declared_in_folder(folder: str, seen: set[str]) -> Iterator[Found]:
    try:
        # Sorted, so that a folder with two versions of one distribution is read the same each time.
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix not in _HEADER_FILES:
            continue
        identity = _normalised(stem.partition("-")[0])
        if identity in seen:
            continue
        seen.add(identity)
        metadata = os.path.join(folder, name)
        declared = _entry_points(_read(os.path.join(metadata, "entry_points.txt")))
        if declared:
            text = _read(os.path.join(metadata, _HEADER_FILES[suffix]))
            headers = dict(_HEADER.findall(text[:_HEADERS_LIE_WITHIN]))
            distribution = headers.get("Name", identity)
            version = headers.get("Version", "unknown")
            for kind, entry, value in declared:
                yield Found(kind, entry, value, distribution, version, metadata)


def _entry_points(text: str) -> list[tuple[str, str, str]]:
    """Return kind, name and value of what an entry_points.txt declares for medscale."""
    if "[medscale." not in text:  # true of nearly every distribution
        return []
    declared = []
    kind: str | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            kind = _KIND_OF_GROUP.get(line[1:-1])
        elif kind and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            declared.append((kind, name.strip(), value.strip()))
    return declared


def _declared_elsewhere(distributions: Iterable[Distribution], seen: set[str]) -> Iterator[Found]:
    for distribution in distributions:
        headers = dict(_HEADER.findall(distribution.read_text("METADATA") or ""))
        name = headers.get("Name", "unknown")
        if _normalised(name) in seen:
            continue
        seen.add(_normalised(name))
        for kind, entry, value in _entry_points(distribution.read_text("entry_points.txt") or ""):
            yield Found(kind, entry, value, name, headers.get("Version", "unknown"))


def _of_hook(finder: Any) -> Iterable[Distribution]:
    import importlib.metadata

    context = importlib.metadata.DistributionFinder.Context()
    found: Iterable[Distribution] = finder.find_distributions(context)
    return found


def _inside_file(entry: str) -> Iterable[Distribution]:
    """Return the distributions inside a path entry that is a file, such as a zip archive."""
    import importlib.metadata

    return importlib.metadata.distributions(path=[entry])


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""

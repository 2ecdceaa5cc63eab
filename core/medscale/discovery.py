"""Finding installed plugins: the only module that touches stevedore and importlib.metadata.

Measured on stevedore 5.10, and why its defaults are not used: its disk cache keys on file times
rounded to 128 s, so a renamed entry point stays stale; cached entry points lose their
distribution; `ExtensionManager` imports everything; its conflict check misses duplicates that do
not stand side by side. So entry points are read live, and one is loaded at a time.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any, NamedTuple

from medscale.spec import KINDS, group

_KIND_OF_GROUP = {group(kind): kind for kind in KINDS}
_HEADER = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)


class Found(NamedTuple):
    """One entry point, as its distribution declares it."""

    kind: str
    name: str
    value: str
    distribution: str
    version: str


def find() -> list[Found]:
    """Return every declared plugin, importing none.

    The first distribution of a name on the path wins, as it does for the import system.
    """
    found: list[Found] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        # Most distributions declare nothing for medscale: spare them the parsers.
        if "[medscale." not in text:
            continue
        # Reading two headers is far cheaper than parsing the whole METADATA as an e-mail.
        headers = dict(_HEADER.findall((distribution.read_text("METADATA") or "")[:2000]))
        name = headers.get("Name", "unknown")
        if name in seen:
            continue
        seen.add(name)
        found += [
            Found(_KIND_OF_GROUP[entry.group], entry.name, entry.value, name, headers["Version"])
            for entry in distribution.entry_points
            if entry.group in _KIND_OF_GROUP
        ]
    return sorted(found)


def load(kind: str, name: str) -> Any:
    """Import one entry point and return its object; whatever the import raises passes through."""
    from stevedore.named import NamedExtensionManager

    class Live(NamedExtensionManager):  # type: ignore[misc]
        """Reads entry points afresh instead of from stevedore's disk cache."""

        def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
            return list(importlib.metadata.entry_points(group=self.namespace))

    def reraise(manager: object, entry_point: object, error: BaseException) -> None:
        raise error

    manager = Live(
        group(kind),
        names=[name],
        invoke_on_load=False,
        on_load_failure_callback=reraise,
        warn_on_missing_entrypoint=False,
    )
    return manager[name].plugin


def find_object(path: str) -> Any:
    """Import `"package.module:Name"`."""
    return importlib.metadata.EntryPoint(name="", value=path, group="").load()

"""What a plugin says about itself: a light object that costs nothing to import.

This module uses the standard library only. `medscale list` reads every installed plugin's
spec, so whatever is imported here is paid for by each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLUGIN_API = 1
"""The plugin contract of this medscale. New powers arrive as new `Supports…` protocols in
`medscale.protocols`, not as a new number."""

KINDS = ("dataset", "backbone", "augmenter", "registrar", "recipe", "executor")
"""Every kind of plugin. The entry-point group of a kind is `medscale.<kind>s`."""

NAME = re.compile(r"[a-z][a-z0-9_]*")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_TYPES = {
    **dict.fromkeys(("kind", "name", "summary", "target", "config", "url", "citation"), str),
    **dict.fromkeys(("api", "behavior"), int),
}


def group(kind: str) -> str:
    """Return the entry-point group of a plugin kind, such as `medscale.datasets`."""
    return f"medscale.{kind}s"


@dataclass(frozen=True, kw_only=True)
class PluginSpec:
    """One plugin, described without importing it.

    Attributes:
        kind: One of `KINDS`.
        name: What a user types, `[a-z][a-z0-9_]*`.
        summary: One line for `medscale list`.
        api: The `PLUGIN_API` that the plugin was written for, as a literal number.
        target: The class, as `"module:Class"`. It is constructed as `Class(config, context)`.
        config: The pydantic model of its options, as `"module:Model"`.
        requires: Top-level modules that the target imports and that may be missing.
        behavior: Raised by the author whenever the same options give other outputs; it is part
            of every trial's identity.
        url: Where to read more.
        citation: What to cite when it is used.

    Raises:
        ValueError: If a field has the wrong form.
    """

    kind: str
    name: str
    summary: str
    api: int
    target: str
    config: str
    requires: tuple[str, ...] = ()
    behavior: int = 1
    url: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        for field, expected in _TYPES.items():
            value = getattr(self, field)
            # True is an integer to Python.
            if not isinstance(value, expected) or isinstance(value, bool):
                raise ValueError(
                    f"plugin {field} is {value!r}, expected "
                    f"{'a string' if expected is str else 'an integer'}"
                )
        if self.kind not in KINDS:
            raise ValueError(f"plugin kind is {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"plugin name is {self.name!r}, expected [a-z][a-z0-9_]*")
        for field in ("target", "config"):
            if not _OBJECT.fullmatch(getattr(self, field)):
                raise ValueError(
                    f"plugin {field} is {getattr(self, field)!r}, expected 'package.module:Name'"
                )
        # A string is a tuple of letters to everything that follows.
        if not isinstance(self.requires, tuple) or not all(
            isinstance(module, str) and module for module in self.requires
        ):
            raise ValueError(
                f"plugin requires is {self.requires!r}, expected a tuple of module names"
            )

"""Toy plugins, good and bad, and which standard tests each bad one has to fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from medscale.config import Options
from medscale.spec import PluginSpec
from medscale.testing import PluginTests

PluginT = TypeVar("PluginT", bound=type[Any])


class ToyOptions(Options):
    """There is nothing to set."""


def good(kit: type[PluginTests], **attributes: Any) -> Callable[[PluginT], PluginT]:
    """Give a plugin class a test class in its module, which has to pass."""
    return breaks(kit, **attributes)


def breaks(kit: type[PluginTests], *tests: str, **attributes: Any) -> Callable[[PluginT], PluginT]:
    """Give a plugin class a test class in its module, of which those tests have to fail.

    Args:
        kit: The part of the kit.
        tests: Names of its tests; others are not run.
        attributes: Members of the test class, such as `shapes`.
    """

    def register(plugin: PluginT) -> PluginT:
        spec = PluginSpec(
            kind=kit.kind,
            name="toy",
            summary="A toy",
            api=1,
            target=f"{plugin.__module__}:{plugin.__name__}",
            config=f"{__name__}:ToyOptions",
        )
        members = {"spec": spec, "breaks": tests, "__module__": plugin.__module__, **attributes}
        name = f"Test{plugin.__name__}"
        setattr(sys.modules[plugin.__module__], name, type(name, (kit,), members))
        return plugin

    return register

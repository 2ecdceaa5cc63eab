"""The conformance kit: what a plugin has to do, as tests that its author inherits.

    from medscale.testing import AugmenterTests, SpecTests
    from medscale_augmenter_wave.spec import SPEC

    class TestSpec(SpecTests):
        spec = SPEC

    class TestAugmenter(AugmenterTests):
        spec = SPEC

Needs pytest (`pip install medscale[testing]`). This module itself imports nothing, because
every run of pytest in an environment with medscale imports it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medscale.testing.augmenter import AugmenterTests
    from medscale.testing.backbone import BackboneTests
    from medscale.testing.base import PluginTests
    from medscale.testing.dataset import DatasetTests
    from medscale.testing.executor import ExecutorTests
    from medscale.testing.recipe import RecipeTests
    from medscale.testing.registrar import RegistrarTests
    from medscale.testing.spec import SpecTests

__all__ = [
    "AugmenterTests",
    "BackboneTests",
    "DatasetTests",
    "ExecutorTests",
    "PluginTests",
    "RecipeTests",
    "RegistrarTests",
    "SpecTests",
]

_HOME = {name: name.removesuffix("Tests").lower() for name in __all__} | {"PluginTests": "base"}


def __getattr__(name: str) -> Any:
    """Import a kit class when it is asked for."""
    if name in _HOME:
        return getattr(importlib.import_module(f"medscale.testing.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

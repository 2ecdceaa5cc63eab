"""What every part of the kit shares: the fixtures an author overrides, and a guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from medscale import discovery, protocols
from medscale.config import Options, validate
from medscale.protocols import PluginContext
from medscale.registry import Plugin, default_registry
from medscale.spec import PluginSpec
from medscale.study.construction import construct
from medscale.study.plan import PluginIdentity


class ConformanceTests:
    """Base of the kit; needs the class attribute `spec`, the plugin's `PluginSpec`."""

    spec: ClassVar[PluginSpec]

    def test_standard_tests_are_not_overridden(self) -> None:
        """No test of the kit is replaced or removed.

        A green run means something only if it is the same run for every plugin.

        How to fix: delete the override. A test that the plugin cannot pass for a good reason is
        marked so that the reason shows in every report:

            @pytest.mark.xfail(reason="the vendor's library draws from numpy's global generator")
            def test_global_randomness_is_left_alone(self, plugin):
                super().test_global_randomness_is_left_alone(plugin)
        """
        replaced = []
        for base in type(self).__mro__:
            if not base.__module__.startswith("medscale.testing."):
                continue
            for name, standard in vars(base).items():
                if not name.startswith("test_"):
                    continue
                used = getattr(type(self), name)
                if used is not standard and not _is_excused(used):
                    replaced.append(name)
        assert not replaced, f"standard tests overridden without xfail and a reason: {replaced}"


def _is_excused(test: Any) -> bool:
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "xfail"]
    return any(mark.kwargs.get("reason") for mark in marks)


class PluginTests(ConformanceTests):
    """Base of the kit's parts that construct the plugin.

    Attributes:
        kind: The kind of plugin that this part is for.
        options: The plugin's options for these tests, as `--set` would give them; choose small
            and quick ones.
        used_options: Options of the plugins that options name, by plugin name; theirs are
            defaults otherwise.
    """

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    used_options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @pytest.fixture
    def data(self) -> Path | None:
        """The folder that the plugin reads, for data sets; None where it needs none."""
        return None

    @pytest.fixture
    def config(self) -> Options:
        """The plugin's validated options."""
        model: type[Options] = discovery.find_object(self.spec.config)
        return validate(model, self.options, self.spec.name)

    @pytest.fixture
    def context(self, tmp_path: Path, data: Path | None) -> PluginContext:
        """What core hands to the plugin."""
        return PluginContext(data=data, cache=tmp_path / "cache")

    @pytest.fixture
    def make(self, config: Options, context: PluginContext) -> Callable[[], Any]:
        """Construct a fresh instance at every call, and the plugins that its options name."""
        plugin = Plugin(self.spec, "", discovery.find_object(self.spec.target), type(config))

        def load_used(option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
            used = default_registry().load(kind, name)
            return construct(used, self.used_options.get(name, {}), name, context, load_used)

        options = config.model_dump()
        return lambda: construct(plugin, options, self.spec.name, context, load_used)[0]

    @pytest.fixture
    def plugin(self, make: Callable[[], Any]) -> Any:
        """An instance of the plugin."""
        return make()

    def test_fulfils_its_protocol(self, make: Callable[[], Any]) -> None:
        """An instance has every member of its kind's protocol.

        Core calls these members by name and nothing else; a missing one would fail in the middle
        of a sweep.

        How to fix: add the missing member as `medscale.protocols` declares it, and use the part
        of the kit that belongs to the plugin's kind.
        """
        assert self.spec.kind == self.kind, f"this part of the kit is for a {self.kind}"
        protocol = getattr(protocols, self.kind.capitalize())
        plugin = make()
        missing = [name for name in members(protocol) if not hasattr(plugin, name)]
        assert not missing, f"{self.spec.target} lacks {missing} of {protocol.__name__}"


class ShapedTests(PluginTests):
    """Base of the kit's parts that run on images.

    Attributes:
        shapes: The spatial shapes to try, 2-D or 3-D; each test with a `shape` runs once for each.
    """

    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ((32, 32),)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that asks for a `shape` with each of the class's shapes."""
        if "shape" in metafunc.fixturenames:
            ids = ["x".join(map(str, shape)) for shape in self.shapes]
            metafunc.parametrize("shape", self.shapes, ids=ids)


def members(protocol: type) -> list[str]:
    """Return the names of the methods and properties that a protocol declares."""
    return [name for name in vars(protocol) if not name.startswith("_")]

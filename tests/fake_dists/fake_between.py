"""Stands between two duplicates in a list."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="recipe",
    name="between",
    summary="Beside a duplicate",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
)

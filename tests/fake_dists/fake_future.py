"""A plugin for a later medscale."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="future",
    summary="From a later year",
    api=99,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
)

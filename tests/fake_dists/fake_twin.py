"""A plugin that two distributions declare."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="twin",
    summary="One of two",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
)

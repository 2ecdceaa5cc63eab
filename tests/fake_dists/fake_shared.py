"""A name in another kind."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="good",
    summary="Shares its name with a data set",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
)

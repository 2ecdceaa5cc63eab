"""Its target raises."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="raising",
    summary="Its target raises",
    api=1,
    target="fake_target_raises:Class",
    config="fake_options:FakeOptions",
)

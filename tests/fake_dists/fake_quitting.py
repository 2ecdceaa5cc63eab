"""Its target ends Python."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="quitting",
    summary="Its target ends Python",
    api=1,
    target="fake_target_exits:Class",
    config="fake_options:FakeOptions",
)

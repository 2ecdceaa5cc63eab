"""Its constructor raises."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="failing",
    summary="Its constructor raises",
    api=1,
    target="fake_targets:Failing",
    config="fake_options:FakeOptions",
)

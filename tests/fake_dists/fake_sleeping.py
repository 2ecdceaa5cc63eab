"""Its target never returns."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="sleeping",
    summary="Its target never returns",
    api=1,
    target="fake_target_sleeps:Class",
    config="fake_options:FakeOptions",
)

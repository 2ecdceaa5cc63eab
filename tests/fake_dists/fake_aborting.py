"""Its target kills Python."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="aborting",
    summary="Its target kills Python",
    api=1,
    target="fake_target_aborts:Class",
    config="fake_options:FakeOptions",
)

"""The spec and the entry point disagree."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="another_name",
    summary="Misnamed",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
)

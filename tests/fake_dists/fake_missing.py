"""A plugin whose library is not there."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="registrar",
    name="missing",
    summary="Needs what is nowhere",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
    requires=("json", "a_module_that_is_nowhere"),
)

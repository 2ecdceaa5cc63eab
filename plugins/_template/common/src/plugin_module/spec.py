"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="plugin_kind",
    name="plugin_name",
    summary="One line about plugin_name for `medscale list`",
    api=1,
    target="plugin_module.plugin_kind:PluginClass",
    config="plugin_module.config:PluginOptions",
    requires=(),
)

"""Its target prints."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="chatty",
    summary="Its target prints",
    api=1,
    target="fake_target_chatters:Chatty",
    config="fake_options:FakeOptions",
)

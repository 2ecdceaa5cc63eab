"""A plugin without fault."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="good",
    summary="Nothing wrong with this one",
    api=1,
    target="fake_targets:Good",
    config="fake_options:FakeOptions",
    requires=("json",),
    url="docs/good.html",
    citation="Nobody 2020",
)

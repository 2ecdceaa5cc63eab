"""The augmenter keeps medscale's contracts."""

from medscale.testing import AugmenterTests, SpecTests
from plugin_module.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestAugmenter(AugmenterTests):
    spec = SPEC
    shapes = ((32, 24), (12, 12, 12))

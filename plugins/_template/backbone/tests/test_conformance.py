"""The networks keep medscale's contracts."""

from typing import ClassVar

from medscale.testing import BackboneTests, SpecTests
from plugin_module.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestBackbone(BackboneTests):
    spec = SPEC
    options: ClassVar = {"width": 4}
    shapes = ((32, 24), (8, 8, 8))

"""RED keeps medscale's contracts."""

from typing import ClassVar

from medscale.testing import AugmenterTests, SpecTests
from medscale_augmenter_red.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestAugmenter(AugmenterTests):
    spec = SPEC
    options: ClassVar = {"prob": 1.0}
    shapes = ((32, 24), (12, 12, 12))

"""The baseline arm keeps medscale's contracts."""

from medscale.testing import AugmenterTests, SpecTests
from medscale_augmenter_none.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestAugmenter(AugmenterTests):
    spec = SPEC
    changes_images = False
    shapes = ((32, 24), (12, 12, 12))

"""GenDA keeps medscale's contracts."""

from typing import ClassVar

from medscale.testing import AugmenterTests, SpecTests
from medscale_augmenter_gen.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestAugmenter(AugmenterTests):
    spec = SPEC
    options: ClassVar = {
        "targets_per_source": 2,
        "alignment": "none",
        # The kit's blobs lie far apart, and so quick a registration gains little.
        "gate": {"least_gain": 0, "least_similarity": 0, "largest_length": 1, "largest_pull": 1},
        "training": {"iterations": 40, "least_spread": 0.05},
    }
    used_options: ClassVar = {"lddmm": {"iterations": (8,), "frequencies": 5}}
    shapes = ((32, 24), (12, 12, 12))

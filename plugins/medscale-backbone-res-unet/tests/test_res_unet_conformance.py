"""The residual U-Net keeps medscale's contracts."""

from typing import ClassVar

from medscale.testing import BackboneTests, SpecTests
from medscale_backbone_res_unet.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestBackbone(BackboneTests):
    spec = SPEC
    options: ClassVar = {"width": 4}
    shapes = ((32, 24), (16, 16, 16))

"""The Swin U-Net keeps medscale's contracts."""

from medscale.testing import BackboneTests, SpecTests
from medscale_backbone_swin_unet.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestBackbone(BackboneTests):
    spec = SPEC
    shapes = ((64, 64), (64, 64, 64))

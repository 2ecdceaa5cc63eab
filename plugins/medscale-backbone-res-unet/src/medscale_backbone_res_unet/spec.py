"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="backbone",
    name="res_unet",
    summary="Residual U-Net, 1.96 M parameters at width 32",
    api=1,
    target="medscale_backbone_res_unet.backbone:ResUNet",
    config="medscale_backbone_res_unet.config:ResUNetOptions",
    requires=("monai",),
    behavior=3,
    citation="Chu et al. 2025, arXiv 2511.13883, section 2",
)

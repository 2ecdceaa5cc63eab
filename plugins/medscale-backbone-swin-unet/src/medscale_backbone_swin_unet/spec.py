"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="backbone",
    name="swin_unet",
    summary="Swin U-Net, 1.59 M parameters at feature size 12",
    api=1,
    target="medscale_backbone_swin_unet.backbone:SwinUNet",
    config="medscale_backbone_swin_unet.config:SwinUNetOptions",
    requires=("monai", "einops"),
    citation="Chu et al. 2025, arXiv 2511.13883, section 2",
)

"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="reg",
    summary="Deformation along geodesics to other images (RegDA)",
    api=1,
    target="medscale_augmenter_reg.augmenter:RegDA",
    config="medscale_augmenter_reg.config:RegOptions",
    behavior=5,
    citation="Chu et al. 2025, arXiv 2511.13883, section 3.2; Shen et al. 2020, MICCAI, "
    "fluid registration-based augmentation",
)

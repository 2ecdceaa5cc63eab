"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="gen",
    summary="Deformation from a conditional GAN trained on registered pairs (GenDA)",
    api=1,
    target="medscale_augmenter_gen.augmenter:GenDA",
    config="medscale_augmenter_gen.config:GenOptions",
    behavior=4,
    requires=("safetensors",),
    citation="Chu et al. 2025, arXiv 2511.13883, section 3.3; Mescheder et al. 2018, ICML, "
    "which GAN training methods converge",
)

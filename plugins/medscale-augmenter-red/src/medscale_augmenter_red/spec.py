"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="red",
    summary="Random elastic deformation (RED)",
    api=1,
    target="medscale_augmenter_red.augmenter:RandomElastic",
    config="medscale_augmenter_red.config:RedOptions",
    behavior=4,
    citation="Chu et al. 2025, arXiv 2511.13883, section 3.1",
)

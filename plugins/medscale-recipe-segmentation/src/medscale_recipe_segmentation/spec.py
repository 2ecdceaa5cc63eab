"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="recipe",
    name="segmentation",
    summary="Train a network on n images, keep the best checkpoint, score the test cases",
    api=1,
    target="medscale_recipe_segmentation.recipe:Segmentation",
    config="medscale_recipe_segmentation.config:SegmentationOptions",
    behavior=2,
    requires=("monai",),
    citation="Chu et al. 2025, arXiv 2511.13883, section 2",
)

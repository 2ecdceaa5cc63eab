"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="none",
    summary="Nothing beyond the baseline augmentation: the arm to compare with",
    api=1,
    target="medscale_augmenter_none.augmenter:NoAugmentation",
    config="medscale_augmenter_none.config:NoneOptions",
)

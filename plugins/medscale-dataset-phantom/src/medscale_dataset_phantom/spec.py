"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="phantom",
    summary="Procedural anatomy without limit: heart, chest or eye, deterministic",
    api=1,
    target="medscale_dataset_phantom.dataset:PhantomDataset",
    config="medscale_dataset_phantom.config:PhantomOptions",
    requires=("scipy",),
)

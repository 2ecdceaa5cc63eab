"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="decathlon",
    summary="Any Medical Segmentation Decathlon task, as 2-D slices or 3-D volumes",
    api=1,
    target="medscale_dataset_decathlon.dataset:DecathlonDataset",
    config="medscale_dataset_decathlon.config:DecathlonOptions",
    requires=("nibabel",),
    citation="Antonelli et al. 2022, Nature Communications, 10.1038/s41467-022-30695-9",
)

"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="folder",
    summary="Your own images and masks from a plain folder (PNG, TIFF, NIfTI)",
    api=1,
    target="medscale_dataset_folder.dataset:FolderDataset",
    config="medscale_dataset_folder.config:FolderOptions",
    behavior=2,
    requires=("nibabel", "PIL", "tifffile"),
)

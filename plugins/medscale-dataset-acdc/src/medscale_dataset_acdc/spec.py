"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="dataset",
    name="acdc",
    summary="ACDC cardiac cine MRI, 2-D short-axis slices: LV, RV, myocardium",
    api=1,
    target="medscale_dataset_acdc.dataset:AcdcDataset",
    config="medscale_dataset_acdc.config:AcdcOptions",
    requires=("nibabel",),
    citation="Bernard et al. 2018, IEEE TMI, 10.1109/TMI.2018.2837502",
)

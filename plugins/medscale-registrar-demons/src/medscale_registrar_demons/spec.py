"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="registrar",
    name="demons",
    summary="Log-domain diffeomorphic demons; codes are stationary velocities",
    api=1,
    target="medscale_registrar_demons.registrar:LogDemons",
    config="medscale_registrar_demons.config:DemonsOptions",
    requires=("SimpleITK",),
    citation="Vercauteren et al. 2008, Symmetric log-domain diffeomorphic registration, MICCAI",
)

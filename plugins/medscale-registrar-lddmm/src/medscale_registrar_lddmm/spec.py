"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="registrar",
    name="lddmm",
    summary="Geodesic shooting of diffeomorphisms (LDDMM), batched",
    api=1,
    target="medscale_registrar_lddmm.registrar:LDDMM",
    config="medscale_registrar_lddmm.config:LDDMMOptions",
    behavior=5,
    citation="Beg et al. 2005, IJCV 61; Miller, Trouvé and Younes 2006, J Math Imaging Vis 24",
)

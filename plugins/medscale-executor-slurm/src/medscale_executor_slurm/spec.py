"""What `medscale list` shows; imports nothing heavy."""

from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="executor",
    name="slurm",
    summary="Worker jobs of a SLURM cluster, as many at a time as --jobs says",
    api=1,
    target="medscale_executor_slurm.executor:SlurmExecutor",
    config="medscale_executor_slurm.config:SlurmOptions",
    url="https://slurm.schedmd.com/sbatch.html",
)

"""What `medscale list` shows of core's own executors; imports nothing heavy."""

from medscale.spec import PluginSpec

SERIAL = PluginSpec(
    kind="executor",
    name="serial",
    summary="One trial after the other, in this process (for debugging)",
    api=1,
    target="medscale.executors.serial:SerialExecutor",
    config="medscale.executors.options:SerialOptions",
)

PROCESS = PluginSpec(
    kind="executor",
    name="process",
    summary="Worker processes on this machine, as many as --jobs says",
    api=1,
    target="medscale.executors.process:ProcessExecutor",
    config="medscale.executors.options:ProcessOptions",
)

"""What keeping freed memory saves of a training step (glibc only).

    python benchmarks/memory_settings.py

Runs the same steps of `res_unet` in fresh processes, in turn with and without the settings that
`medscale.executors.process` gives its workers, and prints the CPU seconds per step.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from medscale.executors.process import MEMORY_SETTINGS

_STEPS = """
import sys, time, torch
from medscale.protocols import PluginContext
from medscale_backbone_res_unet.backbone import ResUNet
from medscale_backbone_res_unet.config import ResUNetOptions
torch.set_num_threads(1)
width, shape, steps = map(int, sys.argv[1:])
backbone = ResUNet(ResUNetOptions(width=width), PluginContext())
network = backbone.build(in_channels=1, out_channels=1, spatial_shape=(shape, shape))
optimiser = torch.optim.Adam(network.parameters())
images = torch.rand(8, 1, shape, shape)
seconds = []
for _ in range(steps):
    started = time.process_time()
    optimiser.zero_grad(set_to_none=True)
    network(images).square().mean().backward()
    optimiser.step()
    seconds.append(time.process_time() - started)
print(sorted(seconds[2:])[len(seconds[2:]) // 2])
"""


def main() -> None:
    """Run the benchmark."""
    print("width  shape   plain s/step   kept s/step   saved   (medians of 5 processes each)")
    for width, shape, steps in ((8, 96, 20), (32, 128, 6)):
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(5):
            for kept in times:
                environment = os.environ | (MEMORY_SETTINGS if kept else {})
                arguments = [sys.executable, "-c", _STEPS, str(width), str(shape), str(steps)]
                done = subprocess.run(
                    arguments, env=environment, capture_output=True, text=True, check=True
                )
                times[kept].append(float(done.stdout))
        plain, kept_time = (statistics.median(times[kept]) for kept in (False, True))
        print(
            f"{width:5}  {shape:4}²   {plain:12.4f}   {kept_time:11.4f}   "
            f"{1 - kept_time / plain:5.1%}"
        )


if __name__ == "__main__":
    main()

"""What keeping freed memory saves of a training step (glibc only), and `res_unet` of MONAI's.

    python benchmarks/memory_settings.py

Runs the same steps of MONAI's DynUNet and of `res_unet`, the same network, in fresh processes, in
turn with and without the settings that `medscale.executors.process` gives its workers, and prints
the CPU seconds per step: of several processes, the least of their medians, since other work on the
machine can only add to it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys

from medscale.executors.process import MEMORY_SETTINGS

_STEPS = """
import sys, time, torch
from monai.networks.nets.dynunet import DynUNet
from medscale_backbone_res_unet.network import FastDynUNet
torch.set_num_threads(1)
torch.manual_seed(0)
dims, width, size, steps = map(int, sys.argv[2:])
network = FastDynUNet(dims, 1, 1, width=width)
if sys.argv[1] == "monai":
    network.forward = lambda images: DynUNet.forward(network, images)
optimiser = torch.optim.Adam(network.parameters(), fused=True)
images = torch.rand(8, 1, *[size] * dims)
seconds = []
for _ in range(steps):
    started = time.process_time()
    optimiser.zero_grad(set_to_none=True)
    network(images).square().mean().backward()
    optimiser.step()
    seconds.append(time.process_time() - started)
print(sorted(seconds[2:])[len(seconds[2:]) // 2])
"""

_CASES = ((2, 8, 96, 20), (2, 32, 128, 5), (3, 8, 32, 8))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind")
    repeats = parser.parse_args().repeats
    print(f"CPU s/step of 8, 1 thread; least of {repeats} processes each")
    print(
        "dims  width  size   MONAI   kept   saved   res_unet   kept   saved   MONAI / kept res_unet"
    )
    for case in _CASES:
        times: dict[tuple[str, bool], float] = {}
        for _ in range(repeats):
            for network, kept in itertools.product(("monai", "res_unet"), (False, True)):
                seconds = step_seconds(network, kept, case)
                times[network, kept] = min(seconds, times.get((network, kept), seconds))
        cells = [
            f"{times[network, False]:6.4f}   {times[network, True]:6.4f}   "
            f"{1 - times[network, True] / times[network, False]:5.1%}"
            for network in ("monai", "res_unet")
        ]
        ratio = times["monai", False] / times["res_unet", True]
        print(f"{case[0]:4}  {case[1]:5}  {case[2]:4}   {'   '.join(cells)}   {ratio:.2f}")


def step_seconds(network: str, kept: bool, case: tuple[int, ...]) -> float:
    """Return the CPU seconds of one training step, measured in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (MEMORY_SETTINGS if kept else {})
    arguments = [sys.executable, "-c", _STEPS, network, *map(str, case)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()

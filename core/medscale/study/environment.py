"""What a result was made with; recorded beside it, never hashed."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from typing import Any

from medscale import __version__


@functools.cache
def environment(device: str) -> dict[str, Any]:
    """Return versions and the device. No user name, host name or path."""
    import numba
    import numpy as np
    import torch

    name = platform.processor() or platform.machine()
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    return {
        "medscale": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "platform": platform.system(),
        "device": device,
        "device_name": name,
        "threads": torch.get_num_threads(),
    }


def git_state() -> dict[str, Any]:
    """Return the commit of the working folder and whether it has changes; empty without git."""
    commands = {"commit": ["rev-parse", "HEAD"], "changes": ["status", "--porcelain"]}
    state: dict[str, Any] = {}
    for name, arguments in commands.items():
        try:
            done = subprocess.run(
                ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return {}
        state[name] = done.stdout.strip()
    state["changes"] = bool(state["changes"])
    return state


def available_cpus() -> int:
    """Return how many processors this process may use; a SLURM job may have few of many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

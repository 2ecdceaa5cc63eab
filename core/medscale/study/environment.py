"""What a result was made with; recorded beside it, never hashed."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from typing import Any

from medscale import __version__
from medscale.errors import ConfigError


@functools.cache
def environment(device: str) -> dict[str, Any]:
    """Return versions and the device. No user name, host name or path."""
    import numba
    import numpy as np
    import torch

    name = platform.processor() or platform.machine()
    if device.startswith("cuda"):
        # A coordinator whose workers run elsewhere may have none.
        name = torch.cuda.get_device_name(device) if torch.cuda.is_available() else ""
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


def find_device(name: str) -> str:
    """Return the torch device of a name; "auto" is a GPU where there is one.

    Raises:
        ConfigError: If it is not there.
    """
    import torch

    check_device(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise _no_device(name) from None
    return name


def check_device(name: str) -> None:
    """Check that a name is one of a device, wherever that may be.

    Raises:
        ConfigError: If it is not.
    """
    import torch

    if name == "auto":
        return
    try:
        known = torch.device(name).type in ("cpu", "cuda")
    except RuntimeError:
        known = False
    if not known:
        raise _no_device(name)


def _no_device(name: str) -> ConfigError:
    return ConfigError(
        f"--device got {name!r}, which this machine and this build of PyTorch do not offer: "
        "give cpu, cuda, cuda:N or auto"
    )


def available_cpus() -> int:
    """Return how many processors this process may use; a SLURM job may have few of many."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    # Not every cluster binds a job to the processors that it has allotted.
    allotted = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(count, int(allotted)) if allotted.isdecimal() and int(allotted) else count

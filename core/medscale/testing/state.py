"""Noticing changes to the state that all code of a process shares."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# What is watched is the very thing that no code of ours may use.
_RANDOM: dict[str, Callable[[], Any]] = {
    "random's global generator": lambda: pickle.dumps(random.getstate()),
    "numpy's global generator": lambda: pickle.dumps(np.random.get_state(legacy=False)),  # noqa: NPY002
    "torch's global generator": lambda: torch.get_rng_state().numpy().tobytes(),
}
_SETTINGS: dict[str, Callable[[], Any]] = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's gradient mode": torch.is_grad_enabled,
    "torch's number of threads": torch.get_num_threads,
    "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
    "numpy's error handling": lambda: str(np.geterr()),
}


@contextmanager
def global_state_untouched(*, torch_random: bool = True) -> Iterator[None]:
    """Fail if the block draws from, or seeds, a global generator or changes a global setting.

    Args:
        torch_random: False where drawing from torch's global generator is allowed, as in
            building a network, which core seeds itself.
    """
    watched = {**_RANDOM, **_SETTINGS}
    if not torch_random:
        del watched["torch's global generator"]
    with seeded_globals(0x6D656473):
        before = {name: read() for name, read in watched.items()}
        yield
        changed = [name for name, read in watched.items() if read() != before[name]]
    assert not changed, (
        f"changed: {', '.join(changed)}; draw from a generator of its own, and set nothing that "
        "belongs to the whole process"
    )


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed every global generator inside the block and restore them after it."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def same_bytes(first: Any, second: Any) -> bool:
    """Return whether two arrays or tensors have one type, shape and content, to the bit."""
    first, second = np.asarray(first), np.asarray(second)
    return bool(
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.tobytes() == second.tobytes()
    )

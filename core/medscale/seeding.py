"""Randomness by name: every stream is derived from the names of what it is for.

Adding an arm, a size or a network therefore never shifts another one's stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(root: int, *names: str | int) -> int:
    """Return a seed in [0, 2^63) for the stream of that name.

    Args:
        root: The study's seed.
        names: What the stream is for, such as `"subset", "acdc", 3`. Parts are kept apart, so
            `("a", "bc")` and `("ab", "c")` differ, and so do `1` and `"1"`.
    """
    text = "\x1f".join([repr(root), *(repr(name) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def numpy_generator(root: int, *names: str | int) -> np.random.Generator:
    """Return numpy's generator for the stream of that name."""
    return np.random.Generator(np.random.PCG64(derive_seed(root, *names)))


def torch_generator(root: int, *names: str | int) -> torch.Generator:
    """Return a CPU torch generator for the stream of that name."""
    import torch

    return torch.Generator().manual_seed(derive_seed(root, *names))


@contextmanager
def seeded_torch(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch's global generators inside the block and restore them after it.

    Only for code that offers no generator, such as weight initialisation and dropout.
    """
    import torch

    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield

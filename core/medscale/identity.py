"""Content addresses: the same thing gets the same name on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from medscale.data.cases import Array

IDENTITY_VERSION = 3
"""Raised when the meaning of a key changes, so that old results are never mistaken for new."""


def canonical_json(value: Any) -> str:
    """Return JSON that depends on content alone: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: If a number is not finite.
        TypeError: If something is not JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any) -> str:
    """Return 32 hexadecimal digits that name a JSON value."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


def array_key(*arrays: Array) -> str:
    """Return 32 hexadecimal digits that name arrays by type, shape and bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()

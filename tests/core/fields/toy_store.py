"""Field stores that tests fill: keys, codes and quality, and what lies in their folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medscale.data.cases import Array
from medscale.fields.store import FieldStore

KEYS = [f"{number:032x}" for number in range(8)]
POOL = {key: f"case{number}" for number, key in enumerate(KEYS)}
IDENTITY = {"registrar": "toy", "behavior": 1, "options": {"kernel": [2.0, 4.0]}}
CODE = (2, 4, 4)


def open_store(
    folder: Path, identity: Mapping[str, Any] = IDENTITY, pool: Mapping[str, str] = POOL
) -> FieldStore:
    return FieldStore(folder, identity=identity, pool=pool)


def random_codes(count: int, seed: int = 0, shape: Sequence[int] = CODE) -> Array:
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def quality(count: int, first: float = 0.0) -> dict[str, Array]:
    return {"similarity": first + np.arange(count) / 10, "folds": np.zeros(count)}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}


def blocks(store: FieldStore) -> list[Path]:
    return sorted(marker.parent for marker in store.root.rglob("committed.json"))

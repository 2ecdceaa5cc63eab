"""A field store that is partly filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.core.fields.toy_store import KEYS, open_store, quality, random_codes

from medscale.fields.store import FieldStore


@pytest.fixture
def store(tmp_path: Path) -> FieldStore:
    """Two blocks of one source; the second pair of the first one failed."""
    store = open_store(tmp_path)
    codes = random_codes(2)
    codes[1] = np.nan
    store.add(KEYS[0], KEYS[1:3], codes, quality(2))
    store.add(KEYS[0], KEYS[3:5], random_codes(2, seed=1), quality(2, first=5))
    return store

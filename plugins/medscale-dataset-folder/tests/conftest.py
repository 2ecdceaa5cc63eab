"""Folders that several tests read; test helpers lie beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from folder_toys import GREY, VOXELS, nifti, png


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Three images with a mask per structure; the structures overlap."""
    root = tmp_path / "set"
    for stem in ("b", "a", "c"):
        png(root / f"images/{stem}.png", GREY)
        png(root / f"masks/Lungs/{stem}.png", np.where(GREY > 20, 255, 0).astype(np.uint8))
        png(root / f"masks/left heart/{stem}.bmp", GREY > 30)
    return root


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Two images with a label map of the values 0, 1 and 2."""
    for stem in ("a", "b"):
        png(tmp_path / f"images/{stem}.png", GREY)
        png(tmp_path / f"labels/{stem}.png", GREY % 3)
    return tmp_path


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    root = tmp_path / "volumes"
    for stem in ("a", "b"):
        nifti(root / f"images/{stem}.nii.gz", VOXELS)
        nifti(root / f"masks/{stem}.nii", (VOXELS % 3).astype(np.float32))
    return root

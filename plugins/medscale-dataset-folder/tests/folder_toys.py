"""A folder's files, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from medscale.protocols import PluginContext
from medscale_dataset_folder.config import FolderOptions
from medscale_dataset_folder.dataset import FolderDataset

Pixels = np.ndarray[Any, Any]
GREY = np.arange(35, dtype=np.uint8).reshape(5, 7)
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def png(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def nifti(path: Path, voxels: Pixels, affine: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([1.5, 2, 3, 1]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def dataset(data: Path | None, log: list[str] | None = None, **options: object) -> FolderDataset:
    context = PluginContext(data=data, log=[].append if log is None else log.append)
    return FolderDataset(FolderOptions.model_validate(options), context)


def load_all(made: FolderDataset) -> list[Any]:
    return [made.load(case) for case in made.cases()]

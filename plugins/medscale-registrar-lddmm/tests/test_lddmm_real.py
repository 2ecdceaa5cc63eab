"""Real hearts and hippocampi of different people come closer, and nothing folds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, warp
from medscale.protocols import Dataset, PluginContext
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale_registrar_lddmm.config import LDDMMOptions
from medscale_registrar_lddmm.registrar import LDDMM

SETS = pytest.mark.parametrize(
    ("name", "folder", "options", "gain"),
    [
        ("acdc", "acdc", {"phases": "ed", "slices": "mid"}, 0.05),
        ("decathlon", "Task04_Hippocampus", {"dims": 2}, 0.03),
    ],
)


def _people(name: str, folder: str, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the middle slices of 24 people at 64² in [0, 1], and all that is annotated in them."""
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip(f"MEDSCALE_TEST_DATA is unset: no real images of {name} to register")
    plugin = default_registry().load("dataset", name)
    context = PluginContext(data=Path(data) / folder)
    dataset: Dataset = construct(plugin, options, name, context)[0]
    middle = {
        case.subject: case for case in dataset.cases() if abs((case.position or 0.5) - 0.5) < 0.1
    }
    images, masks = [], []
    for case in list(middle.values())[:24]:
        sample = dataset.load(case)
        image, label = torch.tensor(sample.image).float(), torch.tensor(sample.label)
        mask = (label > 0).float().view(-1, *image.shape[1:]).amax(0, keepdim=True)
        low, high = torch.quantile(image, torch.tensor([0.005, 0.995]))
        image = ((image - low) / (high - low)).clamp(0, 1)
        images.append(F.interpolate(image[None], size=(64, 64), mode="area"))
        masks.append(F.interpolate(mask[None], size=(64, 64), mode="area"))
    return torch.cat(images), torch.cat(masks)


def _dice(masks: Tensor, others: Tensor) -> float:
    first, second = masks >= 0.5, others >= 0.5
    both = (first & second).flatten(1).sum(1)
    return float((2 * both / (first.flatten(1).sum(1) + second.flatten(1).sum(1))).mean())


@SETS
@pytest.mark.real_data
def test_people_come_closer(
    name: str, folder: str, options: Mapping[str, Any], gain: float
) -> None:
    images, masks = _people(name, folder, options)
    moving, fixed = images[0::2], images[1::2]
    trips = []
    for symmetric in (True, False):
        lddmm = LDDMM(LDDMMOptions(symmetric=symmetric), PluginContext())
        codes, swapped = (
            lddmm.register(moving=first, fixed=second)
            for first, second in ((moving, fixed), (fixed, moving))
        )
        assert codes.isfinite().all()
        there, again = (lddmm.displacement(codes=c, shape=(64, 64)) for c in (codes, swapped))
        back = lddmm.inverse_displacement(codes=codes, shape=(64, 64))
        for field in (there, back):
            assert float(jacobian_determinant(field).min()) > 0
        for round_trip in (compose(there, back), compose(back, there)):
            assert float(round_trip.norm(dim=1).mean()) < 0.1
        before = _dice(masks[0::2], masks[1::2])
        assert _dice(warp(masks[0::2], there), masks[1::2]) > before + gain
        trips.append(float(compose(there, again).norm(dim=1).mean()))
    assert trips[0] < 0.15
    assert trips[0] < 0.5 * trips[1]

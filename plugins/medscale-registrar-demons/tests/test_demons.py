"""Log-domain demons: what a code is, what is found, and what is never taken for an answer."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType
from typing import Any

import pytest
import SimpleITK as sitk  # noqa: N813
import torch
import torch.nn.functional as F
from torch import Tensor

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, identity_grid, warp
from medscale.protocols import Dataset, PluginContext
from medscale.registry import default_registry
from medscale.testing.images import blobs
from medscale_registrar_demons.config import DemonsOptions
from medscale_registrar_demons.registrar import LogDemons

Pairs = tuple[Tensor, Tensor, Tensor, Tensor]
"""Moving and fixed images, then moving and fixed masks, all (N, 1, *S)."""


def _demons(**options: Any) -> LogDemons:
    return LogDemons(validate(DemonsOptions, options, "demons"), PluginContext())


def _blobs(shape: tuple[int, ...], count: int = 3) -> tuple[Tensor, Tensor]:
    """Return moving and fixed images of different blobs, dark towards the border."""
    place = identity_grid(shape, torch.zeros(()))
    window = (1 - place.square()).clamp(min=0).prod(-1)
    images = blobs(shape, 2 * count)[0] * window
    return images[:count], images[count:]


def _middle(field: Tensor) -> Tensor:
    """Cut away the outer quarter of each side."""
    index: list[EllipsisType | slice] = [..., *(slice(n // 4, n - n // 4) for n in field.shape[2:])]
    return field[tuple(index)]


def _pairs(name: str, options: Mapping[str, Any], data: Path | None) -> Pairs:
    """Return twelve pairs of people at 64², with everything annotated as foreground."""
    plugin = default_registry().load("dataset", name)
    config = validate(plugin.config, options, name)
    dataset: Dataset = plugin.construct(config, PluginContext(data=data))
    images, masks = [], []
    people = {
        case.subject: case for case in dataset.cases() if abs((case.position or 0.5) - 0.5) < 0.1
    }
    for case in list(people.values())[:24]:
        sample = dataset.load(case)
        image, label = torch.tensor(sample.image).float(), torch.tensor(sample.label)
        mask = (label > 0).float().view(-1, *image.shape[1:]).amax(0, keepdim=True)
        # People's scanners and windows differ, and demons compare intensities.
        low, high = torch.quantile(image, torch.tensor([0.01, 0.99]))
        image = ((image - low) / (high - low)).clamp(0, 1)
        images.append(F.interpolate(image[None], size=(64, 64), mode="area"))
        masks.append(F.interpolate(mask[None], size=(64, 64), mode="area"))
    both = [torch.cat(images), torch.cat(masks)]
    (moving, moving_masks), (fixed, fixed_masks) = (
        [tensor[start::2] for tensor in both] for start in (0, 1)
    )
    return moving, fixed, moving_masks, fixed_masks


def _phantoms() -> Pairs:
    return _pairs("phantom", {"subjects": 24, "size": 64}, None)


def _dice(masks: Tensor, others: Tensor) -> float:
    first, second = (tensor >= 0.5 for tensor in (masks, others))
    both = (first & second).flatten(1).sum(1)
    return float((2 * both / (first.flatten(1).sum(1) + second.flatten(1).sum(1))).mean())


def _remaining(moving: Tensor, fixed: Tensor, field: Tensor) -> float:
    """Return the squared difference after registration as a share of that before, on average."""
    before, after = ((image - fixed).square() for image in (moving, warp(moving, field)))
    return float((after.flatten(1).sum(1) / before.flatten(1).sum(1)).mean())


def _simpleitk(moving: Tensor, fixed: Tensor) -> Tensor:
    """Register with SimpleITK alone, at full resolution; return its displacements."""
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(100)
    demons.SetStandardDeviations(1.5)
    demons.SetNumberOfThreads(1)
    fields = []
    for pair in zip(fixed, moving, strict=True):
        images = [sitk.GetImageFromArray(image[0].numpy()) for image in pair]
        vectors = sitk.GetArrayFromImage(demons.Execute(*images))
        fields.append(torch.from_numpy(vectors).float().flip(-1).movedim(-1, 0))
    return torch.stack(fields)


@pytest.mark.parametrize(
    ("shape", "grid", "points"),
    [
        ((32, 24), 64, (16, 12)),
        ((33, 17), 64, (17, 9)),
        ((32, 24), 13, (13, 12)),
        ((12, 20, 9), 8, (6, 8, 5)),
    ],
)
def test_a_code_is_a_coarse_grid(
    shape: tuple[int, ...], grid: int, points: tuple[int, ...]
) -> None:
    moving, fixed = _blobs(shape, 2)
    codes = _demons(grid=grid, iterations=1).register(moving=moving, fixed=fixed)
    assert codes.shape == (2, len(shape), *points)


def test_codes_count_the_field_of_view() -> None:
    codes = torch.tensor([0.25, -0.125]).view(1, 2, 1, 1).expand(1, 2, 5, 4)
    for shape in ((32, 16), (40, 24)):
        field = _demons().displacement(codes=codes, shape=shape)
        expected = torch.tensor([0.25 * shape[0], -0.125 * shape[1]]).view(1, 2, 1, 1)
        torch.testing.assert_close(field, expected.expand(1, 2, *shape), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(48, 40), (24, 20, 28)])
def test_a_known_deformation_is_found(shape: tuple[int, ...]) -> None:
    moving = _blobs(shape, 2)[0]
    generator = torch.Generator().manual_seed(0)
    truth = 0.06 * torch.randn(2, len(shape), *[3] * len(shape), generator=generator)
    demons = _demons(iterations=30)
    known = demons.displacement(codes=truth, shape=shape)
    fixed = warp(moving, known)
    codes = demons.register(moving=moving, fixed=fixed)
    found = demons.displacement(codes=codes, shape=shape)
    # Only what moves along the image's gradient can be seen.
    slopes = torch.stack(torch.gradient(fixed[:, 0], dim=tuple(range(1, fixed.ndim - 1))), 1)
    off, moved = (
        float((field * slopes).sum(1).square().mean()) for field in (found - known, known)
    )
    assert float(known.norm(dim=1).mean()) > 0.8
    assert off < 0.1 * moved
    assert _remaining(moving, fixed, found) < 0.15


@pytest.mark.parametrize("shape", [(48, 40), (16, 20, 14)])
def test_the_inverse_leads_back(shape: tuple[int, ...]) -> None:
    moving, fixed = _blobs(shape)
    demons = _demons(iterations=20)
    codes = demons.register(moving=moving, fixed=fixed)
    there = demons.displacement(codes=codes, shape=shape)
    back = demons.inverse_displacement(codes=codes, shape=shape)
    assert float(_middle(there).norm(dim=1).mean()) > 0.3
    for round_trip in (compose(there, back), compose(back, there)):
        assert float(_middle(round_trip).norm(dim=1).mean()) < 0.05
    assert _remaining(fixed, moving, back) < 0.3


def test_phantoms_are_registered_as_well_as_by_simpleitk() -> None:
    moving, fixed, moving_masks, fixed_masks = _phantoms()
    demons = _demons()
    codes = demons.register(moving=moving, fixed=fixed)
    ours = demons.displacement(codes=codes, shape=(64, 64))
    theirs = _simpleitk(moving, fixed)
    unregistered, mine, peer = (
        _dice(warp(moving_masks, field), fixed_masks)
        for field in (torch.zeros_like(ours), ours, theirs)
    )
    assert mine > unregistered + 0.03
    assert mine > peer - 0.02
    assert _remaining(moving, fixed, ours) < 1.1 * _remaining(moving, fixed, theirs)


def test_mixtures_of_phantoms_codes_do_not_fold() -> None:
    images = _phantoms()[0][:4]
    demons = _demons()
    moving = images[:1].expand(3, -1, -1, -1)
    codes = demons.register(moving=moving, fixed=images[1:])
    weights = torch.rand(16, 3, generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("nk,k...->n...", weights / weights.sum(1, keepdim=True), codes)
    assert float(jacobian_determinant(demons.displacement(codes=mixed, shape=(64, 64))).min()) > 0


def test_equal_channels_are_one_and_each_channel_is_seen() -> None:
    moving, fixed = _blobs((32, 24))
    demons = _demons(iterations=10)
    one = demons.register(moving=moving, fixed=fixed)
    two = demons.register(moving=torch.cat([moving] * 2, 1), fixed=torch.cat([fixed] * 2, 1))
    torch.testing.assert_close(two, one)
    flat = torch.full_like(moving, 0.5)
    only_second = demons.register(
        moving=torch.cat([flat, moving], 1), fixed=torch.cat([flat, fixed], 1)
    )
    field = demons.displacement(codes=only_second, shape=(32, 24))
    assert _remaining(moving, fixed, field) < 0.6


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("which", ["moving", "fixed"])
def test_an_image_that_is_not_finite_has_no_registration(value: float, which: str) -> None:
    moving, fixed = _blobs((32, 24))
    demons = _demons(levels=2, iterations=5)
    expected = demons.register(moving=moving, fixed=fixed)
    images = {"moving": moving.clone(), "fixed": fixed.clone()}
    images[which][1, 0, 3, 4] = value
    codes = demons.register(**images)
    assert codes[1].isnan().all()
    torch.testing.assert_close(codes[[0, 2]], expected[[0, 2]])
    field = demons.displacement(codes=codes, shape=(32, 24))
    assert field[1].isnan().all()
    assert field[[0, 2]].isfinite().all()


def test_what_folds_is_shrunk_or_is_no_registration() -> None:
    # Noise, without any smoothing: nothing keeps the velocity from folding.
    generator = torch.Generator().manual_seed(0)
    strength = torch.tensor([0.001, 0.003, 0.01, 1, 1, 1]).view(-1, 1, 1, 1)
    moving, fixed = torch.rand(2, 6, 1, 32, 32, generator=generator) * strength
    demons = _demons(levels=1, iterations=20, sigma_field=0, sigma_update=0)
    codes = demons.register(moving=moving, fixed=fixed)
    found = codes.isfinite().flatten(1).all(1)
    assert found.any()
    assert codes[~found].isnan().all()
    for field in (demons.displacement, demons.inverse_displacement):
        determinant = jacobian_determinant(field(codes=codes[found], shape=(32, 32)))
        assert float(determinant.min()) > 0


def test_more_smoothing_is_smoother() -> None:
    moving, fixed = _blobs((32, 24))

    def roughness(**options: float) -> float:
        codes = _demons(iterations=10, **options).register(moving=moving, fixed=fixed)
        return float(codes.diff(dim=-1).abs().mean())

    assert roughness(sigma_field=3) < 0.8 * roughness(sigma_field=1)
    assert roughness(sigma_update=5) < 0.9 * roughness(sigma_update=0)


def test_coarse_levels_reach_further() -> None:
    moving, fixed = _blobs((64, 64))
    moving = warp(moving, torch.tensor([9.0, 0.0]).view(1, 2, 1, 1).expand(3, 2, 64, 64))
    shares = []
    for levels in (1, 4):
        demons = _demons(levels=levels, iterations=20)
        codes = demons.register(moving=moving, fixed=fixed)
        shares.append(_remaining(moving, fixed, demons.displacement(codes=codes, shape=(64, 64))))
    assert shares[1] < 0.7 * shares[0]


@pytest.mark.parametrize("shape", [(24, 20), (10, 9, 12)])
def test_an_image_has_no_more_levels_than_it_can_show(shape: tuple[int, ...]) -> None:
    moving, fixed = _blobs(shape)
    shares = []
    for levels in (2, 8):
        demons = _demons(levels=levels, iterations=10)
        codes = demons.register(moving=moving, fixed=fixed)
        shares.append(_remaining(moving, fixed, demons.displacement(codes=codes, shape=shape)))
    assert shares[1] < 1.1 * shares[0]


def test_simpleitk_s_own_number_of_threads_is_left_alone() -> None:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before + 1)
    try:
        moving, fixed = _blobs((16, 16))
        _demons(levels=1, iterations=2).register(moving=moving, fixed=fixed)
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == before + 1
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, r"demons\.levels got 0"),
        ({"iterations": 0}, r"demons\.iterations got 0"),
        ({"sigma_field": -1}, r"demons\.sigma_field got -1"),
        ({"sigma_update": "nan"}, r"demons\.sigma_update got 'nan'"),
        ({"grid": 1}, r"demons\.grid got 1"),
        ({"sigma": 1}, r"unknown option demons\.sigma: did you mean sigma_field"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _demons(**options)


@pytest.mark.real_data
def test_real_hippocampi_come_closer() -> None:
    data = os.environ.get("MEDSCALE_TEST_DATA")
    if not data:
        pytest.skip("MEDSCALE_TEST_DATA is unset: no real hippocampus to register")
    folder = Path(data) / "Task04_Hippocampus"
    moving, fixed, moving_masks, fixed_masks = _pairs("decathlon", {}, folder)
    demons = _demons()
    codes = demons.register(moving=moving, fixed=fixed)
    ours = demons.displacement(codes=codes, shape=(64, 64))
    theirs = _simpleitk(moving, fixed)
    unregistered, mine, peer = (
        _dice(warp(moving_masks, field), fixed_masks)
        for field in (torch.zeros_like(ours), ours, theirs)
    )
    assert mine > unregistered + 0.03
    assert mine > peer - 0.02
    assert _remaining(moving, fixed, ours) < 0.6
    assert float(jacobian_determinant(ours).min()) > 0

"""LDDMM finds the deformation between two images, whatever their shape, channels and company."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lddmm_toys import (
    PLANE_AND_VOLUME,
    QUICK_3D,
    lddmm,
    least,
    length,
    middle,
    phantoms,
    registered_phantoms,
    remaining,
    smooth,
    texture,
)
from torch import Tensor

from medscale.fields.warp import warp
from medscale.testing.images import blobs
from medscale_registrar_lddmm.registrar import LDDMM


def _found(registrar: LDDMM, moving: Tensor, fixed: Tensor) -> Tensor:
    """Return the displacements that registration finds."""
    codes = registrar.register(moving=moving, fixed=fixed)
    return registrar.displacement(codes=codes, shape=tuple(moving.shape[2:]))


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "ssd"])
@PLANE_AND_VOLUME
def test_an_image_and_itself_are_the_identity(
    shape: tuple[int, ...], options: dict[str, Any], similarity: str
) -> None:
    image = texture(shape, 2)
    registrar = lddmm(similarity=similarity, **options)
    codes = registrar.register(moving=image, fixed=image)
    assert float(registrar.displacement(codes=codes, shape=shape).abs().max()) < 0.02


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "ssd"])
@PLANE_AND_VOLUME
def test_a_known_deformation_is_found(
    shape: tuple[int, ...], options: dict[str, Any], similarity: str
) -> None:
    moving = texture(shape, 3)
    known = smooth(shape, 3, largest=4.0 if len(shape) == 2 else 2.0)
    fixed = warp(moving, known, padding="border")
    registrar = lddmm(similarity=similarity, weight=1 if similarity == "lncc" else 10, **options)
    codes = registrar.register(moving=moving, fixed=fixed)
    found = registrar.displacement(codes=codes, shape=shape)
    assert length(middle(known)) > 0.7
    share = 0.15 if len(shape) == 2 else 0.45  # Few frequencies, and few evaluations, in 3-D.
    assert length(middle(found - known)) < share * length(middle(known))
    assert remaining(moving, fixed, found) < 0.05


@pytest.mark.parametrize("axis", [0, 1])
def test_a_translation_is_found_and_image_and_label_go_together(axis: int) -> None:
    shape = (48, 40)
    image, mask = blobs(shape, 3)
    shift = torch.zeros(3, 2, *shape)
    shift[:, axis] = -5.0
    moved, moved_mask = (warp(each, shift, padding="border") for each in (image, mask))
    registrar = lddmm(weight=1)
    codes = registrar.register(moving=moved, fixed=image)
    field = registrar.displacement(codes=codes, shape=shape)
    # The image went to larger places, so these are where to look. It shows at the blob's rim, and
    # only across it.
    slopes = torch.stack(torch.gradient(image[:, 0], dim=(1, 2)), dim=1)
    steepness = slopes.norm(dim=1)
    rim = steepness > 0.5 * steepness.amax(dim=(1, 2), keepdim=True)
    across = ((field + shift) * slopes).sum(1)[rim].abs() / steepness[rim]
    assert float(across.mean()) < 0.5
    assert _dice(warp(moved_mask, field), mask) > 0.97 > 0.85 > _dice(moved_mask, mask)


def _dice(mask: Tensor, other: Tensor) -> float:
    first, second = mask >= 0.5, other >= 0.5
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize("shape", [(96, 48), (40, 100), (12, 24, 18)])
def test_elongated_images(shape: tuple[int, ...]) -> None:
    moving = texture(shape, 2)
    known = smooth(shape, 2, largest=2.5)
    fixed = warp(moving, known, padding="border")
    registrar = lddmm(**(QUICK_3D if len(shape) == 3 else {}))
    codes = registrar.register(moving=moving, fixed=fixed)
    waves = list(codes.shape[2:])
    assert waves.index(max(waves)) == shape.index(max(shape))
    field = registrar.displacement(codes=codes, shape=shape)
    assert length(middle(field - known)) < 0.5 * length(middle(known))


def test_a_large_image_is_compared_at_the_resolution() -> None:
    image = phantoms(128)[:4]
    large = F.interpolate(image, scale_factor=2, mode="nearest")
    registrar = lddmm(iterations=(10, 5, 3))
    small, big = (registrar.register(moving=each[:2], fixed=each[2:]) for each in (image, large))
    torch.testing.assert_close(big, small, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("similarity", "weight", "deep"),
    # The windows of local correlation end at the border, and so weigh some planes more.
    [("ssd", 10, 1e-6), ("lncc", 0.1, 0.02)],
)
def test_a_plane_is_a_volume_that_is_the_same_in_depth(
    similarity: str, weight: float, deep: float
) -> None:
    shape, depth = (24, 20), 14
    moving = texture(shape, 2)
    fixed = warp(moving, smooth(shape, 2, largest=2.5), padding="border")
    # So that rounding, which differs, does not grow along the search.
    moving, fixed = moving.double(), fixed.double()
    registrar = lddmm(similarity=similarity, weight=weight, frequencies=6, iterations=(20,))
    plane = _found(registrar, moving, fixed)
    moving, fixed = (each[..., None].expand(*each.shape, depth) for each in (moving, fixed))
    volume = _found(registrar, moving, fixed)
    # Velocities are read from a lattice of 64 points per side in a plane and of 32 in a volume.
    assert length(plane) > 0.5
    assert length(volume[:, :2] - plane[..., None]) < 0.03
    assert float(volume[:, 2].abs().max()) < deep


def test_a_pair_does_not_depend_on_its_batch() -> None:
    # The first is done at once, the others each in their own time.
    images = phantoms(64)
    moving = images[[0, 1, 2, 3]]
    fixed = images[[0, 4, 5, 6]]
    registrar = lddmm()
    together = registrar.register(moving=moving, fixed=fixed)
    for row in range(4):
        one = slice(row, row + 1)
        alone = registrar.register(moving=moving[one], fixed=fixed[one])
        off = registrar.displacement(codes=together[one], shape=(64, 64)) - registrar.displacement(
            codes=alone, shape=(64, 64)
        )
        assert float(off.abs().max()) < 0.05


def test_equal_channels_are_one_and_each_channel_is_seen() -> None:
    shape = (48, 40)
    moving = texture(shape, 2)
    fixed = warp(moving, smooth(shape, 2, largest=3.0), padding="border")
    registrar = lddmm(iterations=(15, 10))
    field = _found(registrar, moving, fixed)
    two = _found(registrar, *(torch.cat([each] * 2, dim=1) for each in (moving, fixed)))
    flat = torch.full_like(moving, 0.5)
    last = _found(registrar, *(torch.cat([flat, each], dim=1) for each in (moving, fixed)))
    assert length(two - field) < 0.05
    assert remaining(moving, fixed, last) < 0.3


def test_what_local_correlation_sees_no_contrast_in_stays() -> None:
    flat = torch.full((4, 1, 48, 40), 0.5)
    generator = torch.Generator().manual_seed(0)
    noise = [flat + 0.002 * torch.randn(flat.shape, generator=generator) for _ in range(2)]
    registrar = lddmm()
    for moving, fixed in [(flat, texture((48, 40), 4)), (texture((48, 40), 4), flat), noise]:
        codes = registrar.register(moving=moving, fixed=fixed)
        assert float(registrar.displacement(codes=codes, shape=(48, 40)).abs().max()) < 0.1


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e25])
@pytest.mark.parametrize("which", ["moving", "fixed"])
def test_an_image_without_a_measure_has_no_registration(value: float, which: str) -> None:
    images = {"moving": texture((48, 40), 3), "fixed": texture((48, 40), 3, seed=1)}
    registrar = lddmm(iterations=(5, 5))
    expected = registrar.register(**images)
    images[which] = images[which].clone()
    images[which][1, 0, 3, 4] = value
    codes = registrar.register(**images)
    assert codes[1].isnan().all()
    torch.testing.assert_close(codes[[0, 2]], expected[[0, 2]])
    field = registrar.displacement(codes=codes, shape=(48, 40))
    assert field[1].isnan().all()
    assert field[[0, 2]].isfinite().all()


def test_more_weight_deforms_more() -> None:
    moving, fixed, _ = registered_phantoms(64)
    lengths = []
    for weight in (0.001, 0.01, 0.1):
        codes = lddmm(weight=weight).register(moving=moving[:3], fixed=fixed[:3])
        lengths.append(float(codes.flatten(1).norm(dim=1).mean()))
    assert lengths[0] < 0.8 * lengths[1] < 0.64 * lengths[2]


def test_wider_smoothing_is_smoother() -> None:
    moving, fixed, _ = registered_phantoms(64)

    def least_for(widths: tuple[float, ...]) -> float:
        registrar = lddmm(widths=widths, width_weights=(1,))
        codes = registrar.register(moving=moving[:3], fixed=fixed[:3])
        return least(registrar.displacement(codes=codes, shape=(64, 64)))

    assert least_for((0.3,)) > least_for((0.07,)) + 0.1


@pytest.mark.parametrize(
    "options", [{"frequencies": 64}, {"widths": (0.4,), "width_weights": (1,)}]
)
def test_frequencies_that_the_smoother_erases_do_no_harm(options: dict[str, Any]) -> None:
    # Their share of the smoother is less than any float32.
    moving = texture((48, 40), 2)
    fixed = warp(moving, smooth((48, 40), 2, largest=2.0), padding="border")
    registrar = lddmm(iterations=(20,), **options)
    codes = registrar.register(moving=moving, fixed=fixed)
    assert remaining(moving, fixed, registrar.displacement(codes=codes, shape=(48, 40))) < 0.3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to compare with")
@PLANE_AND_VOLUME
def test_processor_and_gpu_agree(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    moving = texture(shape, 3)
    fixed = warp(moving, smooth(shape, 3, largest=2.0), padding="border")
    registrar = lddmm(**options)
    codes = registrar.register(moving=moving, fixed=fixed)
    field = registrar.displacement(codes=codes, shape=shape)
    on_gpu = registrar.displacement(codes=codes.cuda(), shape=shape)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), field, atol=0.01, rtol=0)
    found = registrar.register(moving=moving.cuda(), fixed=fixed.cuda())
    assert found.is_cuda
    assert length(registrar.displacement(codes=found, shape=shape).cpu() - field) < 0.05

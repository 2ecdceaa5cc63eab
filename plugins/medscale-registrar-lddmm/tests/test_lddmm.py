"""LDDMM: what is found, in which direction, how exactly it is undone, and what never comes out."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.config import validate
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, identity_grid, warp
from medscale.protocols import Dataset, PluginContext
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale.testing.images import blobs
from medscale_registrar_lddmm.config import LDDMMOptions
from medscale_registrar_lddmm.registrar import LDDMM

QUICK_3D = {"frequencies": 6, "iterations": (15, 8)}
PLANE_AND_VOLUME = pytest.mark.parametrize(
    ("shape", "options"), [((48, 40), {}), ((20, 16, 18), QUICK_3D)]
)


def _lddmm(**options: Any) -> LDDMM:
    return LDDMM(validate(LDDMMOptions, options, "lddmm"), PluginContext())


@lru_cache
def _phantoms(size: int) -> Tensor:
    """Return (16, 1, size, size) images of different people's hearts."""
    plugin = default_registry().load("dataset", "phantom")
    options = {"subjects": 16, "size": size}
    dataset: Dataset = construct(plugin, options, "phantom", PluginContext())[0]
    images = [torch.tensor(dataset.load(case).image).float() for case in dataset.cases()]
    stacked = torch.stack(images)
    low, high = (stacked.flatten(1).quantile(q, dim=1).view(-1, 1, 1, 1) for q in (0.005, 0.995))
    return ((stacked - low) / (high - low)).clamp(0, 1)


@lru_cache
def _registered_phantoms(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return moving images (one, eight times), eight fixed ones, and their codes."""
    images = _phantoms(size)
    moving, fixed = images[:1].expand(8, -1, -1, -1), images[1:9]
    return moving, fixed, _lddmm().register(moving=moving, fixed=fixed)


def _texture(shape: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    """Return images (count, 1, *S) with structure everywhere, about eight voxels large."""
    generator = torch.Generator().manual_seed(seed)
    coarse = [max(4, n // 5) for n in shape]
    noise = torch.rand(count, 1, *coarse, generator=generator)
    return F.interpolate(noise, shape, mode="bilinear" if len(shape) == 2 else "trilinear")


def _smooth(shape: tuple[int, ...], count: int, largest: float, seed: int = 0) -> Tensor:
    """Return displacements (count, D, *S) of waves that vanish at the border."""
    generator = torch.Generator().manual_seed(seed)
    place = (identity_grid(shape, torch.zeros(()))[0] + 1) / 2
    window = torch.sin(math.pi * place).prod(-1)
    phase = 6.28 * torch.rand(count, len(shape), *[1] * len(shape), generator=generator)
    turn = torch.randn(count, len(shape), len(shape), generator=generator)
    waves = torch.sin(torch.einsum("nij,...j->ni...", 3 * turn, place) + phase) * window
    highest = waves.norm(dim=1).flatten(1).amax(1).view(-1, *[1] * (len(shape) + 1))
    scaled: Tensor = largest * waves / highest
    return scaled


def _middle(field: Tensor) -> Tensor:
    """Cut away the outer eighth of each side."""
    for axis in range(2, field.ndim):
        margin = field.shape[axis] // 8
        field = field.narrow(axis, margin, field.shape[axis] - 2 * margin)
    return field


def _length(field: Tensor) -> float:
    return float(field.norm(dim=1).mean())


def _least(field: Tensor) -> float:
    return float(jacobian_determinant(field).min())


def _remaining(moving: Tensor, fixed: Tensor, field: Tensor) -> float:
    """Return the squared difference after registration as a share of that before."""
    before, after = ((image - fixed).square() for image in (moving, warp(moving, field)))
    return float(_middle(after).mean() / _middle(before).mean())


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "ssd"])
@PLANE_AND_VOLUME
def test_an_image_and_itself_are_the_identity(
    shape: tuple[int, ...], options: dict[str, Any], similarity: str
) -> None:
    image = _texture(shape, 2)
    lddmm = _lddmm(similarity=similarity, **options)
    codes = lddmm.register(moving=image, fixed=image)
    assert float(lddmm.displacement(codes=codes, shape=shape).abs().max()) < 0.02


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "ssd"])
@PLANE_AND_VOLUME
def test_a_known_deformation_is_found(
    shape: tuple[int, ...], options: dict[str, Any], similarity: str
) -> None:
    moving = _texture(shape, 3)
    known = _smooth(shape, 3, largest=4.0 if len(shape) == 2 else 2.0)
    fixed = warp(moving, known, padding="border")
    lddmm = _lddmm(similarity=similarity, weight=1 if similarity == "lncc" else 10, **options)
    codes = lddmm.register(moving=moving, fixed=fixed)
    found = lddmm.displacement(codes=codes, shape=shape)
    assert _length(_middle(known)) > 0.7
    share = 0.15 if len(shape) == 2 else 0.45  # Few frequencies, and few evaluations, in 3-D.
    assert _length(_middle(found - known)) < share * _length(_middle(known))
    assert _remaining(moving, fixed, found) < 0.05


@pytest.mark.parametrize("axis", [0, 1])
def test_a_translation_is_found_and_image_and_label_go_together(axis: int) -> None:
    shape = (48, 40)
    image, mask = blobs(shape, 3)
    shift = torch.zeros(3, 2, *shape)
    shift[:, axis] = -5.0
    moved, moved_mask = (warp(each, shift, padding="border") for each in (image, mask))
    lddmm = _lddmm(weight=1)
    codes = lddmm.register(moving=moved, fixed=image)
    field = lddmm.displacement(codes=codes, shape=shape)
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


@pytest.mark.parametrize("size", [64, 128])
def test_phantoms_are_registered_and_undone_by_the_inverse(size: int) -> None:
    moving, fixed, codes = _registered_phantoms(size)
    lddmm = _lddmm()
    there = lddmm.displacement(codes=codes, shape=(size, size))
    back = lddmm.inverse_displacement(codes=codes, shape=(size, size))
    assert _length(there) > 0.01 * size
    assert _remaining(moving, fixed, there) < 0.7
    assert _remaining(fixed, moving, back) < 0.7
    for round_trip in (compose(there, back), compose(back, there)):
        assert _length(_middle(round_trip)) < 0.1


def test_the_inverse_of_a_volume_leads_back() -> None:
    shape = (20, 16, 18)
    moving = _texture(shape, 2)
    fixed = warp(moving, _smooth(shape, 2, 2.0), padding="border")
    lddmm = _lddmm(**QUICK_3D)
    codes = lddmm.register(moving=moving, fixed=fixed)
    there = lddmm.displacement(codes=codes, shape=shape)
    back = lddmm.inverse_displacement(codes=codes, shape=shape)
    assert _length(_middle(there)) > 0.3
    for round_trip in (compose(there, back), compose(back, there)):
        assert _length(_middle(round_trip)) < 0.1


def test_swapped_images_undo_each_other_if_symmetric() -> None:
    moving, fixed, _ = _registered_phantoms(64)
    trips = []
    for symmetric in (True, False):
        lddmm = _lddmm(symmetric=symmetric)
        there, back = (
            lddmm.displacement(
                codes=lddmm.register(moving=images[0], fixed=images[1]), shape=(64, 64)
            )
            for images in ((moving, fixed), (fixed, moving))
        )
        trips.append(_length(compose(there, back)))
    assert trips[0] < 0.15 < 0.5 < trips[1]


def test_codes_of_one_image_can_be_mixed() -> None:
    codes = _registered_phantoms(64)[2]
    lddmm = _lddmm()
    itself = lddmm.displacement(codes=0.3 * codes + 0.7 * codes, shape=(64, 64))
    plain = lddmm.displacement(codes=codes, shape=(64, 64))
    torch.testing.assert_close(itself, plain, atol=1e-4, rtol=0)
    weights = torch.rand(32, len(codes), generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("nk,k...->n...", weights / weights.sum(1, keepdim=True), codes)
    for field in (lddmm.displacement, lddmm.inverse_displacement):
        assert _least(field(codes=mixed, shape=(64, 64))) > 0.1


@pytest.mark.parametrize(("scale", "tolerance"), [(1, 0.02), (2, 0.05), (3, 0.12), (-1, 0.02)])
def test_long_codes_are_shot_as_exactly(scale: float, tolerance: float) -> None:
    codes = scale * _registered_phantoms(64)[2]
    field = _lddmm().displacement(codes=codes, shape=(64, 64))
    exact = _lddmm(steps=48).displacement(codes=codes, shape=(64, 64))
    assert field.isfinite().all()
    assert _length(field - exact) < tolerance
    if abs(scale) == 1:
        assert _least(field) > 0


def test_a_map_does_not_depend_on_the_other_codes() -> None:
    scales = torch.tensor([0.1, 3.0, 1.0, 2.0]).view(-1, 1, 1, 1)
    codes = _registered_phantoms(64)[2][:4] * scales
    lddmm = _lddmm()
    together = lddmm.displacement(codes=codes, shape=(64, 64))
    for row in range(4):
        alone = lddmm.displacement(codes=codes[row : row + 1], shape=(64, 64))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-3, rtol=0)


def test_a_code_far_too_long_is_finite_or_nothing() -> None:
    codes = _registered_phantoms(64)[2][:4]
    codes = codes * torch.tensor([1.0, 30.0, 1e6, 1e30]).view(-1, 1, 1, 1)
    lddmm = _lddmm()
    field = lddmm.displacement(codes=codes, shape=(64, 64))
    alone = lddmm.displacement(codes=codes[:1], shape=(64, 64))
    torch.testing.assert_close(field[:1], alone)
    for row in field:
        assert row.isnan().all() or row.isfinite().all()
    assert field[2:].isnan().all()


@pytest.mark.parametrize("shape", [(96, 48), (40, 100), (12, 24, 18)])
def test_elongated_images(shape: tuple[int, ...]) -> None:
    moving = _texture(shape, 2)
    known = _smooth(shape, 2, largest=2.5)
    fixed = warp(moving, known, padding="border")
    lddmm = _lddmm(**(QUICK_3D if len(shape) == 3 else {}))
    codes = lddmm.register(moving=moving, fixed=fixed)
    waves = list(codes.shape[2:])
    assert waves.index(max(waves)) == shape.index(max(shape))
    field = lddmm.displacement(codes=codes, shape=shape)
    assert _length(_middle(field - known)) < 0.5 * _length(_middle(known))


def test_twice_the_shape_is_twice_the_displacement() -> None:
    codes = _registered_phantoms(128)[2]
    lddmm = _lddmm()
    once = lddmm.displacement(codes=codes, shape=(128, 128))
    twice = lddmm.displacement(codes=codes, shape=(256, 256))
    off = F.avg_pool2d(twice, 2) / 2 - once
    assert _length(off) < 0.01
    assert float(off.abs().max()) < 0.1
    assert _least(twice) > 0


def test_a_large_image_is_compared_at_the_resolution() -> None:
    image = _phantoms(128)[:4]
    large = F.interpolate(image, scale_factor=2, mode="nearest")
    lddmm = _lddmm(iterations=(10, 5, 3))
    small, big = (lddmm.register(moving=each[:2], fixed=each[2:]) for each in (image, large))
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
    moving = _texture(shape, 2)
    fixed = warp(moving, _smooth(shape, 2, largest=2.5), padding="border")
    # So that rounding, which differs, does not grow along the search.
    moving, fixed = moving.double(), fixed.double()
    lddmm = _lddmm(similarity=similarity, weight=weight, frequencies=6, iterations=(20,))
    plane = lddmm.displacement(codes=lddmm.register(moving=moving, fixed=fixed), shape=shape)
    moving, fixed = (each[..., None].expand(*each.shape, depth) for each in (moving, fixed))
    codes = lddmm.register(moving=moving, fixed=fixed)
    volume = lddmm.displacement(codes=codes, shape=(*shape, depth))
    # Velocities are read from a lattice of 64 points per side in a plane and of 32 in a volume.
    assert _length(plane) > 0.5
    assert _length(volume[:, :2] - plane[..., None]) < 0.03
    assert float(volume[:, 2].abs().max()) < deep


def test_a_pair_does_not_depend_on_its_batch() -> None:
    # The first is done at once, the others each in their own time.
    images = _phantoms(64)
    moving = images[[0, 1, 2, 3]]
    fixed = images[[0, 4, 5, 6]]
    lddmm = _lddmm()
    together = lddmm.register(moving=moving, fixed=fixed)
    for row in range(4):
        one = slice(row, row + 1)
        alone = lddmm.register(moving=moving[one], fixed=fixed[one])
        off = lddmm.displacement(codes=together[one], shape=(64, 64)) - lddmm.displacement(
            codes=alone, shape=(64, 64)
        )
        assert float(off.abs().max()) < 0.05


def test_equal_channels_are_one_and_each_channel_is_seen() -> None:
    shape = (48, 40)
    moving = _texture(shape, 2)
    fixed = warp(moving, _smooth(shape, 2, largest=3.0), padding="border")
    lddmm = _lddmm(iterations=(15, 10))
    field = lddmm.displacement(codes=lddmm.register(moving=moving, fixed=fixed), shape=shape)
    doubled = [torch.cat([each] * 2, dim=1) for each in (moving, fixed)]
    two = lddmm.displacement(codes=lddmm.register(moving=doubled[0], fixed=doubled[1]), shape=shape)
    flat = torch.full_like(moving, 0.5)
    second = [torch.cat([flat, each], dim=1) for each in (moving, fixed)]
    last = lddmm.displacement(codes=lddmm.register(moving=second[0], fixed=second[1]), shape=shape)
    assert _length(two - field) < 0.05
    assert _remaining(moving, fixed, last) < 0.3


def test_what_local_correlation_sees_no_contrast_in_stays() -> None:
    flat = torch.full((4, 1, 48, 40), 0.5)
    generator = torch.Generator().manual_seed(0)
    noise = [flat + 0.002 * torch.randn(flat.shape, generator=generator) for _ in range(2)]
    lddmm = _lddmm()
    for moving, fixed in [(flat, _texture((48, 40), 4)), (_texture((48, 40), 4), flat), noise]:
        codes = lddmm.register(moving=moving, fixed=fixed)
        assert float(lddmm.displacement(codes=codes, shape=(48, 40)).abs().max()) < 0.1


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_strongly_deformed_phantoms_never_fold(seed: int) -> None:
    images = _phantoms(64)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    moving, fixed = images[order[:8]], images[order[8:]]
    fixed = warp(fixed, _smooth((64, 64), 8, largest=16.0, seed=seed), padding="border")
    lddmm = _lddmm(weight=0.5, iterations=(20, 10, 5))
    codes = lddmm.register(moving=moving, fixed=fixed)
    found = codes.isfinite().flatten(1).all(1)
    assert codes[~found].isnan().all()
    for field in (lddmm.displacement, lddmm.inverse_displacement):
        assert _least(field(codes=codes[found], shape=(64, 64))) > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e25])
@pytest.mark.parametrize("which", ["moving", "fixed"])
def test_an_image_without_a_measure_has_no_registration(value: float, which: str) -> None:
    images = {"moving": _texture((48, 40), 3), "fixed": _texture((48, 40), 3, seed=1)}
    lddmm = _lddmm(iterations=(5, 5))
    expected = lddmm.register(**images)
    images[which] = images[which].clone()
    images[which][1, 0, 3, 4] = value
    codes = lddmm.register(**images)
    assert codes[1].isnan().all()
    torch.testing.assert_close(codes[[0, 2]], expected[[0, 2]])
    field = lddmm.displacement(codes=codes, shape=(48, 40))
    assert field[1].isnan().all()
    assert field[[0, 2]].isfinite().all()


def test_more_weight_deforms_more() -> None:
    moving, fixed, _ = _registered_phantoms(64)
    lengths = []
    for weight in (0.001, 0.01, 0.1):
        codes = _lddmm(weight=weight).register(moving=moving[:3], fixed=fixed[:3])
        lengths.append(float(codes.flatten(1).norm(dim=1).mean()))
    assert lengths[0] < 0.8 * lengths[1] < 0.64 * lengths[2]


def test_wider_smoothing_is_smoother() -> None:
    moving, fixed, _ = _registered_phantoms(64)

    def least(widths: tuple[float, ...]) -> float:
        lddmm = _lddmm(widths=widths, width_weights=(1,))
        codes = lddmm.register(moving=moving[:3], fixed=fixed[:3])
        return _least(lddmm.displacement(codes=codes, shape=(64, 64)))

    assert least((0.3,)) > least((0.07,)) + 0.1


@pytest.mark.parametrize(
    "options", [{"frequencies": 64}, {"widths": (0.4,), "width_weights": (1,)}]
)
def test_frequencies_that_the_smoother_erases_do_no_harm(options: dict[str, Any]) -> None:
    # Their share of the smoother is less than any float32.
    moving = _texture((48, 40), 2)
    fixed = warp(moving, _smooth((48, 40), 2, largest=2.0), padding="border")
    lddmm = _lddmm(iterations=(20,), **options)
    codes = lddmm.register(moving=moving, fixed=fixed)
    assert _remaining(moving, fixed, lddmm.displacement(codes=codes, shape=(48, 40))) < 0.3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to compare with")
@PLANE_AND_VOLUME
def test_processor_and_gpu_agree(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    moving = _texture(shape, 3)
    fixed = warp(moving, _smooth(shape, 3, largest=2.0), padding="border")
    lddmm = _lddmm(**options)
    codes = lddmm.register(moving=moving, fixed=fixed)
    field = lddmm.displacement(codes=codes, shape=shape)
    on_gpu = lddmm.displacement(codes=codes.cuda(), shape=shape)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), field, atol=0.01, rtol=0)
    found = lddmm.register(moving=moving.cuda(), fixed=fixed.cuda())
    assert found.is_cuda
    assert _length(lddmm.displacement(codes=found, shape=shape).cpu() - field) < 0.05


def test_codes_of_other_images_are_refused() -> None:
    lddmm = _lddmm()
    codes = torch.zeros(2, 2, 14, 12)
    with pytest.raises(ValueError, match=r"codes have shape .* \(2, 14, 14\)"):
        lddmm.displacement(codes=codes, shape=(48, 48))

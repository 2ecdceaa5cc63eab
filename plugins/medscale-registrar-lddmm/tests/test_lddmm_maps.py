"""Maps of codes: mixed, gone further along, undone, on other grids, and never folded."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lddmm_toys import (
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

from medscale.fields.warp import compose, warp


@pytest.mark.parametrize("size", [64, 128])
def test_phantoms_are_registered_and_undone_by_the_inverse(size: int) -> None:
    moving, fixed, codes = registered_phantoms(size)
    registrar = lddmm()
    there = registrar.displacement(codes=codes, shape=(size, size))
    back = registrar.inverse_displacement(codes=codes, shape=(size, size))
    assert length(there) > 0.01 * size
    assert remaining(moving, fixed, there) < 0.7
    assert remaining(fixed, moving, back) < 0.7
    for round_trip in (compose(there, back), compose(back, there)):
        assert length(middle(round_trip)) < 0.1


def test_the_inverse_of_a_volume_leads_back() -> None:
    shape = (20, 16, 18)
    moving = texture(shape, 2)
    fixed = warp(moving, smooth(shape, 2, 2.0), padding="border")
    registrar = lddmm(**QUICK_3D)
    codes = registrar.register(moving=moving, fixed=fixed)
    there = registrar.displacement(codes=codes, shape=shape)
    back = registrar.inverse_displacement(codes=codes, shape=shape)
    assert length(middle(there)) > 0.3
    for round_trip in (compose(there, back), compose(back, there)):
        assert length(middle(round_trip)) < 0.1


def test_swapped_images_undo_each_other_if_symmetric() -> None:
    moving, fixed, _ = registered_phantoms(64)
    trips = []
    for symmetric in (True, False):
        registrar = lddmm(symmetric=symmetric)
        there, back = (
            registrar.displacement(
                codes=registrar.register(moving=images[0], fixed=images[1]), shape=(64, 64)
            )
            for images in ((moving, fixed), (fixed, moving))
        )
        trips.append(length(compose(there, back)))
    assert trips[0] < 0.15 < 0.5 < trips[1]


def test_codes_of_one_image_can_be_mixed() -> None:
    codes = registered_phantoms(64)[2]
    registrar = lddmm()
    itself = registrar.displacement(codes=0.3 * codes + 0.7 * codes, shape=(64, 64))
    plain = registrar.displacement(codes=codes, shape=(64, 64))
    torch.testing.assert_close(itself, plain, atol=1e-4, rtol=0)
    weights = torch.rand(32, len(codes), generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("nk,k...->n...", weights / weights.sum(1, keepdim=True), codes)
    for field in (registrar.displacement, registrar.inverse_displacement):
        assert least(field(codes=mixed, shape=(64, 64))) > 0.1


@pytest.mark.parametrize(("scale", "tolerance"), [(1, 0.02), (2, 0.05), (3, 0.12), (-1, 0.02)])
def test_long_codes_are_shot_as_exactly(scale: float, tolerance: float) -> None:
    codes = scale * registered_phantoms(64)[2]
    field = lddmm().displacement(codes=codes, shape=(64, 64))
    exact = lddmm(steps=48).displacement(codes=codes, shape=(64, 64))
    assert field.isfinite().all()
    assert length(field - exact) < tolerance
    if abs(scale) == 1:
        assert least(field) > 0


def test_a_map_does_not_depend_on_the_other_codes() -> None:
    scales = torch.tensor([0.1, 3.0, 1.0, 2.0]).view(-1, 1, 1, 1)
    codes = registered_phantoms(64)[2][:4] * scales
    registrar = lddmm()
    together = registrar.displacement(codes=codes, shape=(64, 64))
    for row in range(4):
        alone = registrar.displacement(codes=codes[row : row + 1], shape=(64, 64))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-3, rtol=0)


def test_a_code_far_too_long_is_finite_or_nothing() -> None:
    codes = registered_phantoms(64)[2][:4]
    codes = codes * torch.tensor([1.0, 30.0, 1e6, 1e30]).view(-1, 1, 1, 1)
    registrar = lddmm()
    field = registrar.displacement(codes=codes, shape=(64, 64))
    alone = registrar.displacement(codes=codes[:1], shape=(64, 64))
    torch.testing.assert_close(field[:1], alone)
    for row in field:
        assert row.isnan().all() or row.isfinite().all()
    assert field[2:].isnan().all()


def test_twice_the_shape_is_twice_the_displacement() -> None:
    codes = registered_phantoms(128)[2]
    registrar = lddmm()
    once = registrar.displacement(codes=codes, shape=(128, 128))
    twice = registrar.displacement(codes=codes, shape=(256, 256))
    off = F.avg_pool2d(twice, 2) / 2 - once
    assert length(off) < 0.01
    assert float(off.abs().max()) < 0.1
    assert least(twice) > 0


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_strongly_deformed_phantoms_never_fold(seed: int) -> None:
    images = phantoms(64)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    moving, fixed = images[order[:8]], images[order[8:]]
    fixed = warp(fixed, smooth((64, 64), 8, largest=16.0, seed=seed), padding="border")
    registrar = lddmm(weight=0.5, iterations=(20, 10, 5))
    codes = registrar.register(moving=moving, fixed=fixed)
    found = codes.isfinite().flatten(1).all(1)
    assert codes[~found].isnan().all()
    for field in (registrar.displacement, registrar.inverse_displacement):
        assert least(field(codes=codes[found], shape=(64, 64))) > 0


def test_codes_of_other_images_are_refused() -> None:
    registrar = lddmm()
    codes = torch.zeros(2, 2, 14, 12)
    with pytest.raises(ValueError, match=r"codes have shape .* \(2, 14, 14\)"):
        registrar.displacement(codes=codes, shape=(48, 48))

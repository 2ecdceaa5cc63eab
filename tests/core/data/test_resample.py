"""Resampling agrees with torch's antialiased interpolation and keeps what labels mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.resample import resample, resample_labels, resample_masks

_SIDE = st.integers(2, 40)  # torch 2.13 itself goes wrong on images one pixel wide


@settings(deadline=None)
@given(st.tuples(_SIDE, _SIDE), st.tuples(_SIDE, _SIDE), st.integers(0, 99))
def test_images_agree_with_torch(
    shape: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).random((2, *shape), dtype=np.float32)
    expected = F.interpolate(
        torch.from_numpy(image)[None], target, mode="bilinear", antialias=True, align_corners=False
    )[0]
    np.testing.assert_allclose(resample(image, target), expected.numpy(), atol=1e-5)


def test_enlarged_volumes_agree_with_torch() -> None:
    volume = np.random.default_rng(0).random((1, 5, 6, 7), dtype=np.float32)
    expected = F.interpolate(torch.from_numpy(volume)[None], (9, 6, 20), mode="trilinear")[0]
    np.testing.assert_allclose(resample(volume, (9, 6, 20)), expected.numpy(), atol=1e-5)


def test_shrinking_by_a_whole_factor_keeps_the_mean_of_a_periodic_image() -> None:
    # Every voxel counts the same; picking every fourth would give 0 or 1.
    stripes = np.tile([0.0, 1.0], 16)[None].repeat(32, axis=0)
    np.testing.assert_allclose(resample(stripes, (8, 8))[:, 1:-1], 0.5, atol=1e-6)


@settings(deadline=None)
@given(st.lists(_SIDE, min_size=2, max_size=3), st.data(), st.floats(-1000, 1000, width=32))
def test_a_constant_stays_constant(shape: list[int], data: st.DataObject, value: float) -> None:
    target = tuple(data.draw(_SIDE) for _ in shape)
    resampled = resample(np.full((1, *shape), value, np.float32), target)
    assert resampled.shape == (1, *target)
    assert resampled.dtype == np.float32
    # A share of the smallest floats there are is rounded to 0, or to as much as they are.
    np.testing.assert_allclose(resampled, value, rtol=1e-5, atol=1e-36)


def test_the_same_shape_is_the_same_image() -> None:
    image = np.random.default_rng(0).random((1, 7, 9), dtype=np.float32)
    np.testing.assert_array_equal(resample(image, (7, 9)), image)


def test_a_ramp_keeps_its_field_of_view() -> None:
    # Cell centres: the same physical ramp, sampled half as densely.
    ramp = (np.arange(16) + 0.5)[None]
    half = resample(ramp, (8,))
    np.testing.assert_allclose(half[0, 1:-1], (np.arange(8)[1:-1] + 0.5) * 2, atol=1e-5)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=3),
    st.data(),
    st.sets(st.integers(0, 255), min_size=1, max_size=4),
)
def test_labels_gain_no_values(shape: list[int], data: st.DataObject, values: set[int]) -> None:
    seed = data.draw(st.integers(0, 99))
    label = np.random.default_rng(seed).choice(sorted(values), size=shape)
    target = tuple(data.draw(st.integers(1, 20)) for _ in shape)
    resampled = resample_labels(label, target)
    assert resampled.shape == target
    assert resampled.dtype == np.uint8
    assert set(np.unique(resampled)) <= values


def test_labels_between_two_structures_are_one_of_them() -> None:
    # Interpolating the values themselves would put 2 between 1 and 3.
    label = np.array([[1, 1, 3, 3]] * 4)
    assert set(np.unique(resample_labels(label, (7, 7)))) == {1, 3}


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6)])
def test_labels_of_the_same_shape_stay(shape: tuple[int, ...]) -> None:
    label = np.random.default_rng(0).integers(0, 5, shape)
    np.testing.assert_array_equal(resample_labels(label, shape), label)


def test_blocks_shrink_to_their_label() -> None:
    label = np.array([[0, 7], [255, 2]], np.uint8)
    blocks = label.repeat(6, axis=0).repeat(6, axis=1)
    np.testing.assert_array_equal(resample_labels(blocks, (2, 2)), label)


def test_a_boundary_follows_the_interpolated_mask() -> None:
    rows, columns = np.mgrid[:32, :32]
    disc = ((rows - 15.5) ** 2 + (columns - 15.5) ** 2 < 100).astype(np.int64)
    rows, columns = (np.mgrid[:128, :128] + 0.5) / 4 - 0.5
    exact = (rows - 15.5) ** 2 + (columns - 15.5) ** 2 < 100
    smooth = resample_labels(disc, (128, 128)) == 1
    jagged = disc.repeat(4, axis=0).repeat(4, axis=1) == 1
    assert (smooth != exact).sum() < (jagged != exact).sum()


def test_masks_may_overlap() -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[0, :4] = True
    masks[1, 2:6] = True
    resampled = resample_masks(masks, (16, 16))
    assert resampled.dtype == np.uint8
    np.testing.assert_array_equal(resampled[0, :, 0], [1] * 8 + [0] * 8)
    np.testing.assert_array_equal(resampled[1, :, 0], [0] * 4 + [1] * 8 + [0] * 4)
    np.testing.assert_array_equal(resampled[2], 0)


def test_masks_of_the_same_shape_stay() -> None:
    masks = np.random.default_rng(0).random((2, 5, 6, 7)) > 0.5
    np.testing.assert_array_equal(resample_masks(masks, (5, 6, 7)), masks)

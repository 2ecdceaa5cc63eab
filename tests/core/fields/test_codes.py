"""Stored codes become displacements of a batch: the good ones, of the right samples, in pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.fields.codes import displaced, sound_displacements, undisplaced, usable_codes
from medscale.fields.interpolation import resized
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.quality import Gate
from medscale.fields.store import Pairs
from medscale.protocols import Batch

SHAPES = pytest.mark.parametrize("shape", [(24, 16), (12, 8, 4)])


def _pairs(similarities: list[float], *, pull: float = 0.0) -> Pairs:
    """Return pairs that passed or failed (NaN), whose codes are their numbers from 1."""
    after = np.array(similarities)
    failed = np.isnan(after)
    count = len(after)
    codes = np.repeat(np.arange(1, count + 1, dtype=np.float32)[:, None], 3, axis=1)
    codes[failed] = np.nan
    quality = {
        "similarity_before": np.zeros(count),
        "similarity_after": after,
        "least_jacobian": np.ones(count),
        "largest_jacobian": np.ones(count),
        "largest_length": np.zeros(count),
        "pull": np.full(count, pull),
    }
    return Pairs(codes=codes, failed=failed, quality=quality)


def _batch(shape: tuple[int, ...], count: int) -> Batch:
    images = torch.zeros(count, 1, *shape)
    return Batch(images, images, torch.arange(count))


def test_what_the_gate_passes_is_usable_and_the_rest_is_counted() -> None:
    pairs = {
        7: _pairs([0.9, math.nan, 0.2, 0.5]),
        3: _pairs([0.9, 0.05], pull=1.0),
        5: _pairs([math.nan]),
    }
    codes, turned_away = usable_codes(pairs, Gate())
    assert list(codes) == [7, 3, 5]
    assert codes[7].tolist() == [[1.0] * 3, [4.0] * 3]
    assert codes[3].shape == codes[5].shape == (0, 3)
    # 0.05 is no gain and no similarity, and both of that source are pulled.
    assert turned_away == {
        "failed": 2,
        "largest_pull": 2,
        "least_gain": 1,
        "least_similarity": 2,
    }
    assert list(turned_away) == sorted(turned_away)


def test_where_all_pairs_pass_nothing_is_counted() -> None:
    codes, turned_away = usable_codes({0: _pairs([0.9, 0.8])}, Gate())
    assert len(codes[0]) == 2
    assert turned_away == {}


def _stretch(codes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Stretch the last axis by the code; there is no map for one above 8 or below -8."""
    field = torch.zeros(len(codes), len(shape), *shape)
    field[:, -1] = torch.arange(shape[-1]) * codes.view(-1, *[1] * len(shape))
    field[codes > 8, 0, -1] = math.nan
    field[codes < -8] = -math.inf
    return field


@SHAPES
def test_a_code_that_folds_is_shortened_until_it_does_not(shape: tuple[int, ...]) -> None:
    # det ∇φ is 1 + code; from -1 on the map folds, and three quarters of the code are tried.
    codes = [0.5, -0.9, -1.1, -1.5, -3.0, 10.0, -4.0, -9.0]
    tries = [0, 0, 1, 2, 4, 1, None, None]
    stretches = [0 if n is None else 0.75**n * c for c, n in zip(codes, tries, strict=True)]
    field = sound_displacements(lambda codes: _stretch(codes, shape), torch.tensor(codes))
    assert field.shape == (len(codes), len(shape), *shape)
    torch.testing.assert_close(field, _stretch(torch.tensor(stretches), shape))
    assert (jacobian_determinant(field) > 0).all()


@SHAPES
def test_what_folds_between_the_points_of_its_grid_is_shortened(shape: tuple[int, ...]) -> None:
    # Slopes of 2, 0.17 and 2: all rise, but the cubic through the points falls in the middle.
    def squeeze(codes: Tensor) -> Tensor:
        slopes = torch.zeros(shape[-1])
        slopes[1:4] = torch.tensor([1.0, -0.83, 1.0])
        field = torch.zeros(len(codes), len(shape), *shape)
        field[:, -1] = slopes.cumsum(0) * codes.view(-1, *[1] * len(shape))
        return field

    code = torch.ones(1)
    assert (jacobian_determinant(squeeze(code)) > 0).all()
    fine = resized(squeeze(code), tuple(6 * n for n in shape))
    assert (jacobian_determinant(6 * fine) < 0).any()
    field = sound_displacements(squeeze, code)
    torch.testing.assert_close(field, squeeze(0.75 * code))
    assert (jacobian_determinant(6 * resized(field, tuple(6 * n for n in shape))) > 0).all()


@SHAPES
def test_a_batch_that_is_left_alone_has_a_single_zero(shape: tuple[int, ...]) -> None:
    field = undisplaced(_batch(shape, 5))
    assert field.shape == (5, len(shape), *[1] * len(shape))
    assert not field.any()


@SHAPES
@settings(deadline=None)
@given(data=st.data())
def test_displacements_are_of_their_samples_in_voxels_of_the_image(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    grid = tuple(data.draw(st.integers(1, n)) for n in shape)
    samples = data.draw(st.lists(st.integers(0, 5), min_size=1, unique=True))
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn(len(samples), len(shape), *grid, generator=generator, dtype=torch.float64)
    every = displaced(_batch(shape, 6), samples, fields)
    assert every.shape == (6, len(shape), *grid)
    assert every.dtype == torch.float32
    for axis, (n, g) in enumerate(zip(shape, grid, strict=True)):
        # One voxel of the grid is n / g of the image's.
        expected = (fields[:, axis] * n / g).float()
        torch.testing.assert_close(every[samples, axis], expected)
    others = [sample for sample in range(6) if sample not in samples]
    assert not every[others].any()

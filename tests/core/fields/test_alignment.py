"""Alignment finds the pose of another image from intensities alone, or leaves it as it is."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.errors import DataError
from medscale.fields.alignment import (
    FARTHEST,
    SCALES,
    STEEPEST,
    Kind,
    align,
    correlation,
    resample,
)
from medscale.fields.warp import affine_grid, sample

SHAPES = {2: (56, 64), 3: (24, 32, 28)}
KINDS = st.sampled_from(get_args(Kind))
SEEDS = st.integers(0, 999)


def _place(shape: tuple[int, ...]) -> Tensor:
    """Return (*S, D) voxels from the image's centre."""
    axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def _blobs(places: Tensor, seed: int, spread: float = 0.2) -> Tensor:
    """Return some bright blobs (1, 1, *S), as they look at places (*S, D)."""
    shape = places.shape[:-1]
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(shape)
    for brightness in (1.0, 0.8, 0.6, 0.5, 0.4):
        centre = (2 * torch.rand(len(shape), generator=generator) - 1) * spread * max(shape)
        width = (0.05 + 0.05 * torch.rand(len(shape), generator=generator)) * max(shape)
        image += brightness * torch.exp(-(((places - centre) / width) ** 2).sum(-1) / 2)
    return image[None, None]


def _turn(dims: int, degrees: float) -> Tensor:
    """Return a rotation in the plane of the first two axes."""
    angle = math.radians(degrees)
    turn = torch.eye(dims)
    turn[0, :2] = torch.tensor([math.cos(angle), -math.sin(angle)])
    turn[1, :2] = torch.tensor([math.sin(angle), math.cos(angle)])
    return turn


def _posed(seed: int, linear: Tensor, move: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return moving and fixed, with moving(x) = fixed(A x + t), and the matrix [A | t]."""
    places = _place(SHAPES[len(move)])
    moving = _blobs(places @ linear.T + move, seed)
    return moving, _blobs(places, seed), torch.cat([linear, move[:, None]], dim=1)[None]


def _error(found: Tensor, truth: Tensor) -> float:
    """Return the largest distance of two maps in the middle of the image, voxels."""
    dims = found.shape[1]
    shape = SHAPES[dims]
    corners = torch.tensor(list(itertools.product((-0.25, 0.25), repeat=dims)))
    points = corners * torch.tensor(shape)
    change = found - truth
    return float((points @ change[0, :, :-1].T + change[0, :, -1]).norm(dim=-1).max())


@pytest.mark.parametrize("dims", [2, 3])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_translation_is_found(dims: int, data: st.DataObject) -> None:
    share = st.floats(-0.12, 0.12)
    move = torch.tensor([data.draw(share) * n for n in SHAPES[dims]])
    moving, fixed, truth = _posed(data.draw(SEEDS), torch.eye(dims), move)
    found = align(moving, fixed, kind="translation")
    assert torch.equal(found[0, :, :dims], torch.eye(dims))
    # Moving has its cost, which holds the farthest back by about a voxel (1.2 of 300 at most).
    assert _error(found, truth) < 1.5
    assert correlation(moving, resample(fixed, found)) > 0.97


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["similarity", "affine"])
@settings(deadline=None, max_examples=10)
@given(
    degrees=st.floats(-20, 20), scale=st.floats(0.85, 1.15), share=st.floats(-0.08, 0.08),
    seed=SEEDS,
)  # fmt: skip
def test_a_similarity_is_found(
    dims: int, kind: Kind, degrees: float, scale: float, share: float, seed: int
) -> None:
    move = torch.tensor([share * n for n in SHAPES[dims]])
    moving, fixed, truth = _posed(seed, scale * _turn(dims, degrees), move)
    found = align(moving, fixed, kind=kind)
    after = correlation(moving, resample(fixed, found))
    assert after > 0.9
    # Blobs may be all but round; where the truth explains the image no better, it is no truth.
    assert _error(found, truth) < 3 or after > correlation(moving, resample(fixed, truth)) - 0.05


@pytest.mark.parametrize("dims", [2, 3])
def test_a_stretch_takes_an_affine_map(dims: int) -> None:
    linear = torch.eye(dims)
    linear[0, 0], linear[0, 1] = 1.1, 0.1
    moving, fixed, truth = _posed(3, linear, torch.zeros(dims))
    scores = {}
    for kind in get_args(Kind):
        found = align(moving, fixed, kind=kind)
        scores[kind] = float(correlation(moving, resample(fixed, found)))
    # Moving costs, so the stretch found is a little less than the true one.
    untouched = _error(torch.eye(dims, dims + 1)[None], truth)
    assert _error(align(moving, fixed, kind="affine"), truth) < untouched / 2
    assert scores["affine"] > scores["similarity"] + 0.003
    assert scores["similarity"] > scores["translation"] - 0.01


@settings(deadline=None, max_examples=20)
@given(KINDS, SEEDS, st.sampled_from([2, 3]), st.floats(0.1, 500), st.floats(-100, 100))
def test_equal_images_stay_whatever_their_gain_and_offset(
    kind: Kind, seed: int, dims: int, gain: float, offset: float
) -> None:
    image = _blobs(_place(SHAPES[dims]), seed)
    identity = torch.eye(dims, dims + 1)[None]
    assert torch.equal(align(image, gain * image + offset, kind=kind), identity)


@settings(deadline=None, max_examples=25)
@given(KINDS, SEEDS, SEEDS, st.sampled_from([(64, 64), (40, 64), (9, 13), (12, 20, 16)]))
def test_it_is_never_worse_than_the_identity_and_within_bounds(
    kind: Kind, one: int, other: int, shape: tuple[int, ...]
) -> None:
    place = _place(shape)
    moving, fixed = _blobs(place, one, spread=0.4), _blobs(place, other, spread=0.4)
    found = align(moving, fixed, kind=kind)
    rounding = 1e-5
    assert correlation(moving, resample(fixed, found)) >= correlation(moving, fixed) - rounding
    left, scales, right = torch.linalg.svd(found[0, :, :-1].double())
    assert (found[0, :, -1].abs() <= FARTHEST * torch.tensor(shape) + 1e-3).all()
    assert scales.min() >= SCALES[0] - 1e-5
    assert scales.max() <= SCALES[1] + 1e-5
    trace = float((left @ right).trace())
    cosine = trace / 2 if len(shape) == 2 else (trace - 1) / 2
    assert cosine >= math.cos(STEEPEST) - 1e-5


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("value", [0.0, 0.7, 1e30, math.nan, math.inf, "spot"])
def test_an_image_that_shows_nothing_stays(kind: Kind, dims: int, value: float | str) -> None:
    image = _blobs(_place(SHAPES[dims]), 0)
    if value == "spot":
        empty = image.clone()
        empty.view(-1)[5] = math.nan
    else:
        empty = torch.full_like(image, float(value))
    identity = torch.eye(dims, dims + 1)[None]
    for moving, fixed in [(image, empty), (empty, image), (empty, empty)]:
        assert torch.equal(align(moving, fixed, kind=kind), identity)


def test_huge_intensities_are_aligned_too() -> None:
    moving, fixed, truth = _posed(1, torch.eye(2), torch.tensor([4.0, -3.0]))
    assert _error(align(moving * 1e30, fixed * 1e-30, kind="translation"), truth) < 1


@settings(deadline=None, max_examples=10)
@given(KINDS, st.lists(SEEDS, min_size=2, max_size=5, unique=True), st.sampled_from([2, 3]))
def test_a_pair_does_not_depend_on_its_batch(kind: Kind, seeds: list[int], dims: int) -> None:
    place = _place(SHAPES[dims])
    moving = torch.cat([_blobs(place, seed) for seed in seeds])
    fixed = torch.cat([_blobs(place, seed + 1000) for seed in seeds])
    moving[-1, :, 0] = math.nan
    together = align(moving, fixed, kind=kind)
    alone = [align(m[None], f[None], kind=kind) for m, f in zip(moving, fixed, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-2, rtol=1e-3)
    assert torch.equal(align(moving, fixed, kind=kind), together)


def test_channels_count_alike_and_a_flat_one_does_no_harm() -> None:
    moving, fixed, truth = _posed(5, torch.eye(2), torch.tensor([5.0, -4.0]))
    flat = torch.full_like(moving, 0.3)
    found = align(torch.cat([moving, flat], 1), torch.cat([fixed, flat], 1), kind="translation")
    assert _error(found, truth) < 1.5
    both = align(torch.cat([flat, 9 * moving], 1), torch.cat([flat, fixed], 1), kind="translation")
    torch.testing.assert_close(both, found, atol=1e-2, rtol=0)


def test_what_lies_in_the_middle_decides() -> None:
    place = _place((64, 64))
    organ = _blobs(place, 7, spread=0.1)
    moved = _blobs(place - torch.tensor([5.0, 0.0]), 7, spread=0.1)
    # A bright frame that stays where it is, as the outline of a body may.
    frame = (place.abs().amax(-1) > 28).float()[None, None]
    found = align(organ + frame, moved + frame, kind="translation")
    torch.testing.assert_close(found[0, :, 2], torch.tensor([5.0, 0.0]), atol=1, rtol=0)


@pytest.mark.parametrize("shape", [(8, 14), (6, 9, 7)])
def test_the_convention_is_the_baseline_augmentation_s(shape: tuple[int, ...]) -> None:
    dims = len(shape)
    image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    linear = 1.1 * _turn(dims, 17)[None]
    grid = affine_grid(linear, shape, shape).movedim(1, -1)
    matrix = torch.cat([linear, torch.zeros(1, dims, 1)], dim=2)
    torch.testing.assert_close(resample(image, matrix, padding="zeros"), sample(image, grid))


def test_a_translation_looks_that_many_voxels_further() -> None:
    image = torch.arange(40.0).view(1, 1, 8, 5) + 1
    matrix = torch.tensor([[[1.0, 0, 3], [0, 1, 0]]])
    out = resample(image, matrix)
    torch.testing.assert_close(out[0, 0, :5], image[0, 0, 3:])
    torch.testing.assert_close(out[0, 0, 5:], image[0, 0, -1:].expand(3, -1))
    assert not resample(image, matrix, padding="zeros")[0, 0, 5:].any()


def test_shapes_have_to_agree() -> None:
    with pytest.raises(DataError, match=r"one shape .* got moving \(1, 1, 8, 8\)"):
        align(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9), kind="affine")
    with pytest.raises(DataError, match="two or three spatial axes"):
        align(torch.zeros(1, 1, 8), torch.zeros(1, 1, 8), kind="affine")

"""exp(v) is the flow of a stationary velocity up to time 1."""

from __future__ import annotations

import math
from types import EllipsisType

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.fields.exponential import exponential
from medscale.fields.jacobian import folding_share
from medscale.fields.warp import compose, identity_grid

SHAPES = st.sampled_from([(40, 56), (24, 20, 28)])
SEEDS = st.integers(0, 999)


def _smooth(shape: tuple[int, ...], slope: float, seed: int) -> Tensor:
    """Return a velocity in voxels, its slopes up to about `slope`, the same at every resolution."""
    dims = len(shape)
    place = identity_grid(shape, torch.zeros((), dtype=torch.float64)).flip(-1)
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(dims, dims, generator=generator, dtype=torch.float64)
    waves = [torch.sin(3 * place + phase[axis]).mean(-1) for axis in range(dims)]
    # A side of the image is 2 units of place long.
    sides = torch.tensor(shape).view(1, -1, *[1] * dims) / 2
    return (slope / 3 * torch.stack(waves, dim=1) * sides).float()


def _inside(field: Tensor, share: float = 0.25) -> Tensor:
    """Cut away what may have crossed the border."""
    index: list[EllipsisType | slice] = [...]
    for n in field.shape[2:]:
        margin = round(share * n)
        index.append(slice(margin, n - margin))
    return field[tuple(index)]


def _error(field: Tensor, expected: Tensor) -> float:
    """Return the largest distance inside, voxels."""
    return float(_inside(field - expected).norm(dim=1).max())


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=3))
def test_a_translation_is_exact(vector: list[float]) -> None:
    dims = len(vector)
    velocity = torch.tensor(vector).view(1, dims, *[1] * dims).expand(1, dims, *(9, 12, 7)[:dims])
    torch.testing.assert_close(exponential(velocity), velocity, atol=1e-4, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([2, 3]))
def test_of_a_linear_velocity_it_is_the_matrix_exponential(seed: int, dims: int) -> None:
    shape = (33, 41, 37)[:dims]
    generator = torch.Generator().manual_seed(seed)
    matrix = 0.3 * torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    velocity, expected = (
        torch.einsum("ij,j...->i...", each, place)[None]
        for each in (matrix, torch.matrix_exp(matrix) - torch.eye(dims, dtype=torch.float64))
    )
    # The middle, whose path stays inside; interpolating a linear field is exact.
    off = _inside(exponential(velocity) - expected, 0.45).norm(dim=1).max()
    assert float(off) < 0.01


@settings(deadline=None, max_examples=20)
@given(SEEDS, SHAPES, st.floats(0.2, 0.8))
def test_minus_v_is_the_inverse(seed: int, shape: tuple[int, ...], slope: float) -> None:
    velocity = _smooth(shape, slope, seed)
    there, back = exponential(velocity), exponential(-velocity)
    nothing = torch.zeros_like(velocity)
    assert _error(compose(there, back), nothing) < 0.1
    assert _error(compose(back, there), nothing) < 0.1


@settings(deadline=None, max_examples=20)
@given(SEEDS, SHAPES, st.floats(0.1, 0.9))
def test_a_flow_may_be_stopped_and_continued(
    seed: int, shape: tuple[int, ...], share: float
) -> None:
    velocity = _smooth(shape, 0.7, seed)
    whole = exponential(velocity)
    parts = exponential(share * velocity), exponential((1 - share) * velocity)
    assert _error(compose(*parts), whole) < 0.1
    halves = exponential(velocity / 2)
    assert _error(compose(halves, halves), whole) < 0.1


@settings(deadline=None, max_examples=20)
@given(SEEDS, SHAPES, st.floats(0.5, 2))
def test_smooth_velocities_do_not_fold(seed: int, shape: tuple[int, ...], slope: float) -> None:
    velocity = _smooth(shape, slope, seed)
    assert float(folding_share(exponential(velocity)).max()) == 0
    assert float(folding_share(exponential(-velocity)).max()) == 0


def test_the_velocity_itself_would_have_folded() -> None:
    shape = (40, 56)
    folds = [float(folding_share(_smooth(shape, 2, seed))) for seed in range(20)]
    assert max(folds) > 0.01


@settings(deadline=None, max_examples=20)
@given(SEEDS, SHAPES)
def test_it_is_the_same_at_every_resolution(seed: int, shape: tuple[int, ...]) -> None:
    fine = tuple(2 * n for n in shape)
    coarse = exponential(_smooth(shape, 0.8, seed))
    halved = F.interpolate(exponential(_smooth(fine, 0.8, seed)), size=shape, mode="area") / 2
    assert _error(halved, coarse) < 0.1
    assert float(coarse.abs().max()) > 1


@pytest.mark.parametrize("shape", [(40, 56), (24, 20, 28)])
def test_more_squarings_change_little(shape: tuple[int, ...]) -> None:
    velocity = torch.cat([_smooth(shape, 1.0, seed) for seed in range(6)])
    assert _error(exponential(velocity), exponential(velocity, squarings=10)) < 0.005
    assert _error(exponential(velocity, squarings=1), exponential(velocity)) > 0.05


@pytest.mark.parametrize("shape", [(40, 56), (24, 20, 28)])
def test_no_velocity_moves_nothing(shape: tuple[int, ...]) -> None:
    assert not exponential(torch.zeros(2, len(shape), *shape)).any()


def test_a_batch_is_its_fields_one_by_one() -> None:
    velocity = torch.cat([_smooth((20, 28), 0.3 * seed, seed) for seed in range(4)])
    single = [exponential(velocity[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(exponential(velocity), torch.cat(single), atol=1e-5, rtol=1e-5)


def test_a_plane_is_a_slice_of_its_extrusion() -> None:
    velocity = _smooth((20, 28), 0.8, 0)
    along = torch.cat([velocity, torch.zeros(1, 1, 20, 28)], dim=1)[..., None]
    volume = exponential(along.expand(*along.shape[:-1], 5))
    for depth in range(5):
        torch.testing.assert_close(
            volume[:, :2, ..., depth], exponential(velocity), atol=1e-4, rtol=1e-4
        )
    assert float(volume[:, 2].abs().max()) < 1e-4


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("shape", [(12, 16), (6, 8, 7)])
def test_what_is_not_finite_is_nan_and_alone(value: float, shape: tuple[int, ...]) -> None:
    velocity = torch.cat([_smooth(shape, 0.8, seed) for seed in range(3)])
    expected = exponential(velocity)
    velocity[1].flatten()[5] = value
    field = exponential(velocity)
    assert field[1].isnan().all()
    assert torch.equal(field[[0, 2]], expected[[0, 2]])


def test_the_velocity_is_left_as_it_is_and_gradients_reach_it() -> None:
    velocity = _smooth((12, 16), 0.8, 0).double().requires_grad_()
    before = velocity.detach().clone()
    field = exponential(velocity)
    assert field.dtype == torch.float64
    field.square().sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(velocity.detach(), before)
    assert velocity.grad is not None
    assert velocity.grad.abs().min() > 0

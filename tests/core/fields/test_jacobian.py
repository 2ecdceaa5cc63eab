"""Jacobian determinants of maps id + u."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medscale.fields.jacobian import folding_share, jacobian_determinant, least_determinant


def _linear(matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the displacement u(x) = Mx of a matrix."""
    axes = [torch.arange(n, dtype=matrix.dtype) for n in shape]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.einsum("ij,j...->i...", matrix, place)[None]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_of_a_linear_map_it_is_the_matrix_s(seed: int, dims: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    shape = (4, 5, 6)[:dims]
    determinant = jacobian_determinant(_linear(matrix, shape))
    assert determinant.shape == (1, *shape)
    expected = torch.linalg.det(torch.eye(dims, dtype=torch.float64) + matrix)
    torch.testing.assert_close(determinant, expected.expand_as(determinant))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_a_linear_map_has_its_determinant_in_every_corner(seed: int, dims: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    least = least_determinant(_linear(matrix, (3, 4, 2)[:dims]))
    expected = torch.linalg.det(torch.eye(dims, dtype=torch.float64) + matrix)
    torch.testing.assert_close(least, expected[None])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_neighbours_that_change_places_fold(axis: int) -> None:
    # Central differences look two cells far, and see nothing of it.
    field = torch.zeros(3, 3, 8, 8, 8)
    lines = field[0, axis].movedim(axis, 0)
    lines[3, 4, 4], lines[4, 4, 4] = 0.8, -0.8
    field[1] = 0.5
    field[2, 0, 5, 5, 5] = torch.nan
    assert folding_share(field)[0] == 0
    least = least_determinant(field)
    assert least[0] < 0
    assert least[1] == 1
    assert least[2].isnan()


@pytest.mark.parametrize("shape", [(6, 9), (5, 6, 7)])
def test_translations_keep_volume(shape: tuple[int, ...]) -> None:
    field = torch.full((2, len(shape), *shape), 3.5)
    torch.testing.assert_close(jacobian_determinant(field), torch.ones(2, *shape))
    assert folding_share(field).tolist() == [0, 0]


def test_a_reflection_folds_everywhere() -> None:
    field = _linear(torch.tensor([[-2.0, 0.0], [0.0, 0.0]]), (6, 7))
    torch.testing.assert_close(jacobian_determinant(field), -torch.ones(1, 6, 7))
    assert folding_share(field).tolist() == [1]


def test_flattening_counts_as_folding() -> None:
    assert folding_share(_linear(torch.diag(torch.tensor([-1.0, 0.0])), (6, 7))).tolist() == [1]


def test_a_local_fold_is_found_where_it_is() -> None:
    # Along the first axis, rows 10 to 13 look backwards; the second image is left alone.
    field = torch.zeros(2, 2, 24, 8)
    field[0, 0, 10:14] = torch.tensor([3.0, 1.0, -1.0, -3.0])[:, None]
    determinant = jacobian_determinant(field)
    folded = (determinant <= 0).any(dim=2)
    assert folded[0].nonzero()[:, 0].tolist() == [11, 12]
    assert folding_share(field).tolist() == [pytest.approx(2 / 24), 0]


def test_a_plane_is_a_slice_of_its_extrusion() -> None:
    field = torch.randn(3, 2, 6, 7, generator=torch.Generator().manual_seed(0))
    along = torch.cat([field, torch.zeros(3, 1, 6, 7)], dim=1)[..., None].expand(3, 3, 6, 7, 4)
    volume = jacobian_determinant(along)
    for depth in range(4):
        torch.testing.assert_close(volume[..., depth], jacobian_determinant(field))


def test_axes_are_not_mixed_up() -> None:
    # u0 grows along axis 1 alone: a shear, which keeps volume.
    shear = _linear(torch.tensor([[0.0, 0.7], [0.0, 0.0]]), (5, 6))
    torch.testing.assert_close(jacobian_determinant(shear), torch.ones(1, 5, 6))
    stretch = _linear(torch.tensor([[0.7, 0.0], [0.0, 0.0]]), (5, 6))
    torch.testing.assert_close(jacobian_determinant(stretch), torch.full((1, 5, 6), 1.7))

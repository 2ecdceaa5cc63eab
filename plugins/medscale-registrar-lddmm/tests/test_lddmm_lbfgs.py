"""Many problems are minimised as each would be by itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medscale_registrar_lddmm.lbfgs import Evaluate, minimise

SIZE = 12


def _quadratics(count: int) -> tuple[Tensor, Tensor]:
    """Return curvatures and places of minima (count, SIZE), the later ones harder."""
    generator = torch.Generator().manual_seed(0)
    exponents = torch.linspace(0, 3, count, dtype=torch.float64)[:, None]
    curvatures = 10 ** (exponents * torch.rand(count, SIZE, generator=generator).double())
    return curvatures, torch.randn(count, SIZE, generator=generator).double()


def _bowls(curvatures: Tensor, places: Tensor) -> Evaluate:
    def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        off = points - places[rows]
        # Not zero at the minimum: gains are judged against the energy.
        return 1 + 0.5 * (curvatures[rows] * off.square()).sum(1), curvatures[rows] * off

    return evaluate


def _zeros(count: int) -> Tensor:
    return torch.zeros(count, SIZE, dtype=torch.float64)


def test_bowls_are_descended() -> None:
    curvatures, places = _quadratics(6)
    found = minimise(_zeros(6), _bowls(curvatures, places), evaluations=80, first=0.1)
    left = 0.5 * (curvatures * (found - places).square()).sum(1)
    start = 0.5 * (curvatures * places.square()).sum(1)
    assert float((left / start).max()) < 1e-3


def test_a_bent_valley_is_followed() -> None:
    def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        points = points.detach().requires_grad_()
        x, y = points.unbind(1)
        energy = (1 - x).square() + 100 * (y - x.square()).square()
        (gradient,) = torch.autograd.grad(energy.sum(), points)
        return energy.detach(), gradient

    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    found = minimise(start, evaluate, evaluations=100, first=0.1)
    torch.testing.assert_close(found, torch.ones_like(found), atol=1e-3, rtol=0)


def test_a_problem_does_not_depend_on_its_batch() -> None:
    curvatures, places = _quadratics(8)
    together = minimise(_zeros(8), _bowls(curvatures, places), evaluations=40, first=0.1)
    for row in range(8):
        evaluate = _bowls(curvatures[row : row + 1], places[row : row + 1])
        alone = minimise(_zeros(1), evaluate, evaluations=40, first=0.1)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-9, atol=1e-9)


def test_the_finished_leave_the_batch_and_the_budget_is_kept() -> None:
    curvatures, places = _quadratics(8)
    curvatures[:6] = 1  # A steepest step or two away from their minima.
    evaluate = _bowls(curvatures, places)
    asked: list[Tensor] = []

    def counted(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(rows.clone())
        return evaluate(points, rows)

    minimise(_zeros(8), counted, evaluations=30, first=0.1)
    assert len(asked) <= 30
    assert asked[0].tolist() == list(range(8))
    assert set(asked[-1].tolist()) <= {6, 7}


def test_walls_are_backed_away_from() -> None:
    curvatures, places = _quadratics(2)
    bowl = _bowls(curvatures, places)

    def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        energy, gradient = bowl(points, rows)
        beyond = points.norm(dim=1) > 0.5
        return torch.where(beyond, torch.inf, energy), gradient

    found = minimise(_zeros(2), evaluate, evaluations=40, first=2.0)
    rows = torch.arange(2)
    assert (found.norm(dim=1) <= 0.5).all()
    assert (evaluate(found, rows)[0] < evaluate(_zeros(2), rows)[0]).all()


def test_what_has_no_energy_anywhere_is_nan_and_harms_no_other() -> None:
    curvatures, places = _quadratics(3)
    bowl = _bowls(curvatures, places)
    for value in (math.nan, math.inf):

        def evaluate(points: Tensor, rows: Tensor, value: float = value) -> tuple[Tensor, Tensor]:
            energy, gradient = bowl(points, rows)
            return torch.where(rows == 1, value, energy), gradient

        found = minimise(_zeros(3), evaluate, evaluations=40, first=0.1)
        expected = minimise(_zeros(3), bowl, evaluations=40, first=0.1)
        assert found[1].isnan().all()
        torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])


def test_a_start_without_energy_is_left_towards_zero() -> None:
    curvatures, places = _quadratics(1)
    bowl = _bowls(curvatures, 0.1 * places)

    def evaluate(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        energy, gradient = bowl(points, rows)
        return torch.where(points.norm(dim=1) > 1, torch.inf, energy), gradient

    start = torch.full((1, SIZE), 1.5 / SIZE**0.5, dtype=torch.float64)
    found = minimise(start, evaluate, evaluations=40, first=0.1)
    torch.testing.assert_close(found, 0.1 * places, atol=0.05, rtol=0)

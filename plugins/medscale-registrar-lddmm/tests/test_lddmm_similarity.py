"""Measures of likeness: their values by the book, their slopes by autograd."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medscale_registrar_lddmm.similarity import FLOOR, MEASURES, STRIDE, WINDOW

SHAPES = pytest.mark.parametrize("shape", [(11, 8), (6, 7, 8)])


def _lncc(image: Tensor, reference: Tensor) -> Tensor:
    """Local correlation, window by window."""
    shape = image.shape[2:]
    axes = [torch.arange(n, dtype=torch.float64) for n in shape]
    centres = torch.cartesian_prod(*(axis[::STRIDE] + (STRIDE - 1) / 2 for axis in axes))
    dims = tuple(range(2, image.ndim))
    total = torch.zeros((), dtype=torch.float64)
    for centre in centres:
        weight = torch.ones((), dtype=torch.float64)
        for axis, middle in zip(axes, centre, strict=True):
            away = (axis - middle) / WINDOW
            gauss = torch.exp(-0.5 * away.square()) * (away.abs() <= 3.5)
            weight = weight[..., None] * gauss / gauss.sum()
        means = [(weight * each).sum(dims, keepdim=True) for each in (image, reference)]
        a, b = image - means[0], reference - means[1]
        squares = [(weight * each.square()).sum(dims) + FLOOR for each in (a, b)]
        total = total + (weight * a * b).sum(dims).square() / (squares[0] * squares[1])
    return 1 - (total / len(centres)).mean(1)


def _ncc(image: Tensor, reference: Tensor) -> Tensor:
    a, b = (each.flatten(2) - each.flatten(2).mean(2, keepdim=True) for each in (image, reference))
    return 1 - torch.cosine_similarity(a, b, dim=2).square().mean(1)


def _ssd(image: Tensor, reference: Tensor) -> Tensor:
    return (image - reference).square().flatten(1).mean(1)


BY_THE_BOOK: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lncc": _lncc,
    "ncc": _ncc,
    "ssd": _ssd,
}


def _images(shape: tuple[int, ...], channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 3, channels, *shape, generator=generator, dtype=torch.float64)
    return first, 0.6 * first + 0.4 * second  # Alike, as registered images are.


@SHAPES
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", list(MEASURES))
def test_values_and_slopes(name: str, channels: int, shape: tuple[int, ...]) -> None:
    image, reference = _images(shape, channels)
    expected = BY_THE_BOOK[name](image.requires_grad_(), reference)
    (by_autograd,) = torch.autograd.grad(expected.sum(), image)
    value, slope = MEASURES[name](reference)(image.detach())
    torch.testing.assert_close(value, expected.detach(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(slope / math.prod(shape), by_autograd, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", list(MEASURES))
def test_equal_images_are_alike(name: str) -> None:
    image = _images((24, 20), 2)[0]
    value, slope = MEASURES[name](image)(image)
    # The floor of variance keeps a window from ever being quite alike.
    assert float(value.abs().max()) < 0.01
    assert float(slope.abs().max()) < 0.05


@pytest.mark.parametrize("name", ["lncc", "ncc"])
def test_brightness_contrast_and_inversion_do_not_matter(name: str) -> None:
    image, reference = _images((24, 20), 1)
    measure = MEASURES[name](reference)
    values = [measure(each)[0] for each in (image, 0.3 + 0.8 * image, 1 - image)]
    torch.testing.assert_close(values[1], values[0], atol=0.003, rtol=0)
    torch.testing.assert_close(values[2], values[0], atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("name", list(MEASURES))
def test_flat_images_have_no_slope_towards_noise(name: str, value: float) -> None:
    flat = torch.full((2, 1, 24, 20), value)
    for reference in (flat, _images((24, 20), 1)[0][:2].float()):
        result, slope = MEASURES[name](reference)(flat)
        assert result.isfinite().all()
        assert slope.isfinite().all()
    result, slope = MEASURES[name](flat)(flat)
    assert float(slope.abs().max()) < 1e-3

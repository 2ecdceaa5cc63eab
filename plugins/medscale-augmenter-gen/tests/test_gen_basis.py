"""Components are those of what is generated, and a generator begins with their second moments."""

from __future__ import annotations

import pytest
import torch

from medscale_augmenter_gen.adversaries import Adversaries
from medscale_augmenter_gen.basis import Basis
from medscale_augmenter_gen.config import TrainingOptions
from medscale_augmenter_gen.lesson import Lesson
from medscale_augmenter_gen.networks import Generator, initialise

COMPONENTS = 8


def _registered() -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes, and fields that are linear in them."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(2, 0.1, 20)
    codes = (torch.randn(300, 20, generator=generator) * scales).view(300, 2, 2, 5)
    matrix = torch.randn(20, 2 * 6 * 6, generator=generator)
    return codes, (codes.flatten(1) @ matrix).view(300, 2, 6, 6)


def test_all_components_give_back_codes_and_their_fields() -> None:
    codes, fields = _registered()
    basis = Basis.of(codes, fields, 100)
    assert len(basis.vectors) == 20
    coefficients = basis.coefficients(codes)
    torch.testing.assert_close(
        torch.tensordot(coefficients, basis.vectors, dims=1), codes, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        torch.tensordot(coefficients, basis.fields, dims=1), fields, atol=1e-3, rtol=1e-3
    )


def test_coefficients_have_a_mean_square_of_one_and_do_not_correlate() -> None:
    codes, fields = _registered()
    coefficients = Basis.of(codes, fields, COMPONENTS).coefficients(codes)
    moments = coefficients.T @ coefficients / len(codes)
    torch.testing.assert_close(moments, torch.eye(COMPONENTS), atol=1e-4, rtol=0)


def test_components_hold_most_of_what_is_generated() -> None:
    codes, fields = _registered()
    basis = Basis.of(codes, fields, COMPONENTS)
    kept = torch.tensordot(basis.coefficients(codes), basis.vectors, dims=1).square().sum()
    assert abs(float(kept / codes.square().sum()) - basis.kept) < 1e-4
    # No other vectors of that number do.
    largest = codes.flatten(1).square().mean(0).topk(COMPONENTS).values.sum()
    assert basis.kept >= float(largest / codes.flatten(1).square().mean(0).sum())


def test_a_generator_begins_with_the_second_moments_of_registered_deformations() -> None:
    codes, fields = _registered()
    lesson = Lesson(
        torch.rand(30, 1, 16, 16), torch.arange(30).repeat_interleave(10), fields, codes
    )
    basis = Basis.of(codes, fields, COMPONENTS)
    generator = Adversaries(lesson, basis, TrainingOptions(), seed=0).mean
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features = generator.encoder(lesson.images).repeat(200, 1)
        made = generator(features, torch.randn(len(features), COMPONENTS, generator=drawn))
    moments = made.T @ made / len(made)
    torch.testing.assert_close(moments, torch.eye(COMPONENTS), atol=0.1, rtol=0)


@torch.no_grad()
def test_no_deformation_is_longer_than_the_longest() -> None:
    drawn = torch.Generator().manual_seed(0)
    generator = Generator((1, 16, 16), components=COMPONENTS)
    initialise(generator, drawn)
    scales = torch.linspace(1, 2, COMPONENTS)
    generator.bound(scales, 3.0)
    features = generator.encoder(torch.rand(50, 1, 16, 16, generator=drawn))
    made = generator(features, 10 * torch.randn(50, COMPONENTS, generator=drawn))
    assert float((made * scales).norm(dim=1).max()) == pytest.approx(3)

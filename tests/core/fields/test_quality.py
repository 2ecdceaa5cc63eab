"""Registered pairs are judged without labels, and bad ones turned away for a named reason."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from medscale.data.cases import Array
from medscale.errors import DataError
from medscale.fields.quality import Gate, local_correlation, pair_quality

SHAPES = st.sampled_from([(30, 40), (12, 20, 16)])


def _image(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


def _place(shape: tuple[int, ...]) -> Tensor:
    axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def _nothing(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(1, len(shape), *shape)


@settings(deadline=None, max_examples=20)
@given(SHAPES, st.floats(0.3, 1), st.floats(-0.2, 0.2), st.integers(0, 99))
def test_equal_images_are_alike_up_to_gain_and_offset(
    shape: tuple[int, ...], gain: float, offset: float, seed: int
) -> None:
    image = _image(shape, seed)
    one = torch.ones(1)
    torch.testing.assert_close(
        local_correlation(gain * image + offset, image), one, atol=2e-3, rtol=0
    )
    torch.testing.assert_close(local_correlation(1 - image, image), -one, atol=2e-3, rtol=0)


def test_unrelated_images_are_not_alike() -> None:
    assert abs(float(local_correlation(_image((64, 64), 1), _image((64, 64), 2)))) < 0.05


def test_flat_regions_count_nothing() -> None:
    image = _image((32, 32))
    padded = torch.nn.functional.pad(image, (0, 64, 0, 0), value=0.5)
    noise = 0.002 * _image((32, 96), 1)
    # Unrelated noise on two thirds of the image, where the fixed image shows nothing.
    assert local_correlation(padded + noise, padded) > 0.97
    other = 0.002 * _image((32, 96), 2)
    assert local_correlation(padded + noise, padded + other) > 0.97
    assert abs(float(local_correlation(image, torch.full_like(image, 0.5)))) < 1e-3
    assert abs(float(local_correlation(torch.full_like(image, 0.5), image))) < 1e-3


@settings(deadline=None, max_examples=20)
@given(SHAPES, st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_a_translation_is_all_length_and_pull(shape: tuple[int, ...], vector: list[float]) -> None:
    dims = len(shape)
    move = torch.tensor(vector[:dims])
    displacement = move.view(1, -1, *[1] * dims).expand(1, -1, *shape)
    quality = pair_quality(_image(shape), _image(shape), displacement)
    share = move.norm().view(1) / max(shape)
    for name in ("mean_length", "largest_length", "pull"):
        torch.testing.assert_close(quality[name], share, atol=1e-5, rtol=1e-3)
    for name in ("least_jacobian", "largest_jacobian"):
        torch.testing.assert_close(quality[name], torch.ones(1))
    assert quality["folds"] == 0


@settings(deadline=None, max_examples=20)
@given(SHAPES, st.floats(-0.5, 1))
def test_a_scaling_has_its_determinant_and_no_pull(shape: tuple[int, ...], stretch: float) -> None:
    quality = pair_quality(_image(shape), _image(shape), stretch * _place(shape))
    determinant = torch.full((1,), (1 + stretch) ** len(shape))
    torch.testing.assert_close(quality["least_jacobian"], determinant, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(quality["largest_jacobian"], determinant, atol=1e-3, rtol=1e-3)
    assert quality["pull"] < 1e-5
    corner = abs(stretch) * _place(shape).norm(dim=1).max() / max(shape)
    torch.testing.assert_close(quality["largest_length"], corner.view(1), atol=1e-5, rtol=1e-3)


def test_the_share_of_folds_is_that_of_the_mirrored_part() -> None:
    shape = (20, 40)
    displacement = _nothing(shape)
    # φ(x) = −x along the last axis in a quarter of the image, the identity elsewhere.
    displacement[:, 1, :, :10] = -2 * torch.arange(10.0)
    quality = pair_quality(_image(shape), _image(shape), displacement)
    assert float(quality["folds"]) == pytest.approx(0.25, abs=0.03)
    assert quality["least_jacobian"] < 0


def test_a_pull_at_the_border_is_none_at_the_centre() -> None:
    shape = (64, 64)
    displacement = _nothing(shape)
    displacement[:, 0, :, :4] = 6
    at_border = pair_quality(_image(shape), _image(shape), displacement)
    displacement = _nothing(shape)
    displacement[:, 0, :, 30:34] = 6
    at_centre = pair_quality(_image(shape), _image(shape), displacement)
    assert at_centre["pull"] > 3 * at_border["pull"]
    assert at_centre["mean_length"] == at_border["mean_length"]


def test_similarity_rises_where_the_displacement_is_right() -> None:
    fixed = _image((32, 32))
    moving = fixed.roll(4, dims=2)
    displacement = _nothing((32, 32))
    displacement[:, 0] = 4
    quality = pair_quality(moving, fixed, displacement)
    assert abs(float(quality["similarity_before"])) < 0.2
    assert quality["similarity_after"] > 0.8


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_nan_for_that_pair_alone(which: int, value: float) -> None:
    parts = [
        torch.cat([_image((16, 18), 1)] * 2),
        torch.cat([_image((16, 18), 2)] * 2),
        _nothing((16, 18)).repeat(2, 1, 1, 1),
    ]
    good = pair_quality(*(part[:1] for part in parts))
    parts[which][1, 0, 3, 3] = value
    for name, values in pair_quality(*parts).items():
        assert torch.isnan(values[1]), name
        torch.testing.assert_close(values[0], good[name][0])


GOOD = {
    "similarity_before": 0.3,
    "similarity_after": 0.8,
    "least_jacobian": 0.5,
    "largest_jacobian": 2.0,
    "largest_length": 0.05,
    "pull": 0.01,
}


def _pairs(*changes: dict[str, float]) -> dict[str, Array]:
    rows = [GOOD, *(GOOD | change for change in changes)]
    return {name: np.array([row[name] for row in rows]) for name in GOOD}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("least_gain", {"similarity_before": 0.79}),
        ("least_similarity", {"similarity_before": -0.2, "similarity_after": 0.1}),
        ("least_jacobian", {"least_jacobian": -0.1}),
        ("largest_jacobian", {"largest_jacobian": 40.0}),
        ("largest_length", {"largest_length": 0.5}),
        ("largest_pull", {"pull": 0.3}),
    ],
)
def test_each_rule_alone_can_turn_a_pair_away(rule: str, change: dict[str, float]) -> None:
    quality = _pairs(change)
    assert Gate().passes(quality).tolist() == [True, False]
    counts = Gate().reasons(quality)
    assert set(counts) == set(Gate.model_fields)
    assert {name for name, count in counts.items() if count} == {rule}
    assert counts[rule] == 1


@pytest.mark.parametrize("name", sorted(GOOD))
def test_nan_passes_no_rule(name: str) -> None:
    assert Gate().passes(_pairs({name: math.nan})).tolist() == [True, False]


def test_a_pair_can_be_turned_away_for_several_reasons() -> None:
    quality = _pairs({"least_jacobian": -1.0, "pull": 0.3}, {"pull": 0.4})
    reasons = Gate().reasons(quality)
    assert (reasons["least_jacobian"], reasons["largest_pull"]) == (1, 2)
    assert Gate().passes(quality).sum() == 1


def test_thresholds_are_options() -> None:
    quality = _pairs({"largest_length": 0.5})
    assert Gate(largest_length=0.6).passes(quality).all()
    assert not Gate(least_gain=0.6).passes(quality).any()
    for field in Gate.model_fields.values():
        assert field.description
    with pytest.raises(ValidationError):
        Gate.model_validate({"least": 1})


def test_the_gate_takes_what_is_measured() -> None:
    fixed = _image((32, 32))
    displacement = _nothing((32, 32))
    displacement[:, 0] = 3
    measured = pair_quality(fixed.roll(3, dims=2), fixed, displacement)
    quality = {name: values.numpy() for name, values in measured.items()}
    assert Gate().passes(quality).tolist() == [True]


def test_a_missing_number_is_named() -> None:
    quality = _pairs()
    del quality["pull"]
    with pytest.raises(DataError, match="needs pull of every pair"):
        Gate().passes(quality)

"""What an augmenter returns is refused by name, not trained on, where it cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from medscale.errors import PluginError
from medscale.fields.interpolation import Spline
from medscale.protocols import Batch, PoolView
from medscale.testing.images import batch_of
from medscale.training.augmentation import augment
from medscale.training.options import AugmentationOptions

SHAPE, COUNT = (16, 24), 4


class Plain:
    """An augmenter that does to a batch what it is told."""

    def __init__(self, change: Callable[[Batch], Any]) -> None:
        self._change = change

    def fit(self, view: PoolView) -> None:
        pass

    def augment(self, batch: Batch, generator: torch.Generator) -> Any:
        return self._change(batch)


class Moving(Plain):
    """One that returns a given field."""

    def displacements(self, batch: Batch, generator: torch.Generator) -> Any:
        return self._change(batch)


class Splined(Moving):
    """One that returns a given spline."""

    frame = "output"

    def spline(self, batch: Batch, generator: torch.Generator) -> Any:
        return self._change(batch)


def returned(augmenter: Plain) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return augment(batch_of(SHAPE, COUNT), [augmenter], AugmentationOptions(), generator)


def field(*shape: int, fill: float = 0.0) -> Callable[[Batch], Any]:
    return lambda batch: torch.full(shape, fill)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda batch: None, "got a NoneType, expected a floating-point tensor"),
        (lambda batch: batch.images.numpy(), "got a ndarray, expected a floating-point tensor"),
        (
            lambda batch: torch.zeros(COUNT, 2, *SHAPE, dtype=torch.int64),
            "got 4×2×16×24 of int64, expected a floating-point tensor",
        ),
        (field(1, 2, *SHAPE), "got 1×2×16×24 of float32, expected 4×2×G×G"),
        (field(COUNT, 3, *SHAPE), "expected 4×2×G×G: a displacement in 2 axes for 4 images"),
        (field(COUNT, 2, 4, 4, 4), "expected 4×2×G×G"),
        (field(COUNT, 2, 4, 6, fill=float("nan")), "a largest one of nan voxels"),
        (field(COUNT, 2, 4, 6, fill=float("inf")), "a largest one of inf voxels"),
        (field(COUNT, 2, *SHAPE, fill=1e9), "at most 48, 2 times the image's longest side"),
    ],
)
def test_what_is_no_displacement(change: Callable[[Batch], Any], said: str) -> None:
    with pytest.raises(PluginError) as refused:
        returned(Moving(change))
    assert "test_checks.Moving) returned displacements: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (field(COUNT, 2, *SHAPE), "got 4×2×16×24 of float32, expected a Spline of 2 axes"),
        (lambda batch: Spline.through(torch.zeros(COUNT, 2, 4, 6), (8, 8)), "the shape 16×24"),
        (lambda batch: Spline.through(torch.zeros(1, 2, 4, 6), SHAPE), "for 4 images"),
        (
            lambda batch: Spline.through(torch.full((COUNT, 2, 4, 6), float("nan")), SHAPE),
            "a largest one of nan voxels",
        ),
    ],
)
def test_what_is_no_spline_of_displacements(change: Callable[[Batch], Any], said: str) -> None:
    with pytest.raises(PluginError) as refused:
        returned(Splined(change))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda batch: batch.images, "returned what `augment` gives: got 4×1×16×24 of float32"),
        (
            lambda batch: batch.replace(images=batch.images[:1], masks=batch.masks[:1]),
            "returned images: got 1×1×16×24 of float32, expected 4×1×16×24 of float32",
        ),
        (
            lambda batch: batch.replace(images=batch.images.double(), masks=batch.masks),
            "got 4×1×16×24 of float64, expected 4×1×16×24 of float32",
        ),
        (
            lambda batch: batch.replace(images=batch.images / 0, masks=batch.masks),
            "got NaN or infinite values, expected numbers",
        ),
        (
            lambda batch: batch.replace(images=batch.images, masks=255 * batch.masks),
            "returned masks: got values from 0 to 255, expected 0 to 1",
        ),
        (
            lambda batch: batch.replace(images=batch.images, masks=batch.masks * float("nan")),
            "returned masks: got values from nan to nan, expected 0 to 1",
        ),
    ],
)
def test_what_is_no_batch(change: Callable[[Batch], Any], said: str) -> None:
    with pytest.raises(PluginError) as refused:
        returned(Plain(change))
    assert said in str(refused.value)


def test_what_may_be_meant_is_left_alone() -> None:
    assert returned(Plain(lambda batch: batch)).images.shape == (COUNT, 1, *SHAPE)
    soft = returned(
        Plain(lambda batch: batch.replace(images=255 * batch.images, masks=0.5 * batch.masks))
    )
    assert float(soft.masks.max()) == 0.5
    assert returned(Moving(field(COUNT, 2, 1, 1, fill=3.0))).masks.shape == (COUNT, 1, *SHAPE)
    assert returned(Splined(lambda batch: None)).masks.shape == (COUNT, 1, *SHAPE)

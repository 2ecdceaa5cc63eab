"""One trial: what is trained on, what is scored, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medscale.data.cases import Case, Task
from medscale.data.cohort import Cohort, build_cohort
from medscale.identity import canonical_json
from medscale.protocols import PluginContext
from medscale.seeding import seeded_torch
from medscale.study.context import TrialContext
from medscale.study.examples import unpacked
from medscale.testing.images import blobs
from medscale.training.options import AugmentationOptions, TrainingOptions
from medscale_recipe_segmentation.config import SegmentationOptions
from medscale_recipe_segmentation.recipe import Segmentation
from medscale_recipe_segmentation.surface import surface_scores


def _cohort(labels: Tensor | None = None) -> Cohort:
    images, masks = blobs((24, 24), 10)
    return build_cohort(
        tuple(Case(id=f"case{row}", subject=f"p{row}") for row in range(10)),
        images.numpy().copy(),
        (masks if labels is None else labels)[:, 0].numpy().astype(np.uint8),
        np.full((10, 2), 0.5),
        tuple(f"image{row}" for row in range(10)),
    )


def _network() -> nn.Module:
    with seeded_torch(0):
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(6, 1, 5, padding=2)
        )


def _trial(**changes: Any) -> TrialContext:
    fields: dict[str, Any] = {
        "cohort": _cohort(),
        "task": Task(labels=(1,)),
        "train": (3, 1),
        "validation": (0, 2),
        "test": (9, 4, 6),
        "pool": (1, 3, 5, 7, 8),
        "build_network": _network,
        "augmenters": (),
        "training": TrainingOptions(amount=12, batch_size=2, learning_rate=0.02, validations=3),
        "augmentation": AugmentationOptions(),
        "device": "cpu",
        "replicate": 5,
        "progress": lambda share, stage: None,
    }
    return TrialContext(**fields | changes)


def _recipe(**options: Any) -> Segmentation:
    return Segmentation(SegmentationOptions(**options), PluginContext())


def _square(top: int, left: int, size: int) -> Tensor:
    mask = torch.zeros(1, 24, 24, dtype=torch.bool)
    mask[0, top : top + size, left : left + size] = True
    return mask


def test_every_test_case_is_scored_once_and_in_order() -> None:
    outcome = _recipe().run(_trial())
    assert [(row["case"], row["subject"]) for row in outcome.cases] == [
        ("case9", "p9"),
        ("case4", "p4"),
        ("case6", "p6"),
    ]
    truth = blobs((24, 24), 10)[1][[9, 4, 6]].flatten(1).mean(1)
    assert [row["true"] for row in outcome.cases] == pytest.approx(truth.tolist())
    for row in outcome.cases:
        assert set(row) == {"case", "subject", "bce", "dice", "predicted", "true"}
        assert 0 <= row["dice"] <= 1
        assert row["bce"] > 0


def test_the_summary_is_over_the_test_cases() -> None:
    outcome = _recipe().run(_trial())
    for name in ("bce", "dice", "predicted", "true"):
        mean = sum(row[name] for row in outcome.cases) / 3
        assert outcome.summary[name] == pytest.approx(mean)
    best = max(outcome.history, key=lambda row: row["dice"])
    assert outcome.summary["validation_dice"] == best["dice"]
    assert outcome.summary["best_step"] == best["step"]
    assert outcome.summary["steps"] == 12
    assert [row["step"] for row in outcome.history] == [4, 8, 12]


def test_the_worst_the_median_and_the_best_prediction_are_kept() -> None:
    outcome = _recipe().run(_trial())
    by_dice = sorted(outcome.cases, key=lambda row: row["dice"])
    kept = {example.rank: example for example in outcome.examples}
    for rank, row in zip(("worst", "median", "best"), by_dice, strict=True):
        assert (kept[rank].case, kept[rank].dice) == (row["case"], row["dice"])
        assert unpacked(kept[rank]).mean() == pytest.approx(row["predicted"])


@pytest.mark.parametrize("surface", [False, True])
def test_an_outcome_is_json(surface: bool) -> None:
    outcome = _recipe(surface=surface).run(_trial())
    written = [outcome.cases, outcome.summary, outcome.history, outcome.timing, outcome.weights]
    assert json.loads(canonical_json(written)) == written


def test_the_same_trial_gives_the_same_outcome() -> None:
    one, other = _recipe().run(_trial()), _recipe().run(_trial())
    assert replace(one, timing={}) == replace(other, timing={})
    assert len(one.weights) == 32
    shifted = _recipe().run(_trial(replicate=6))
    assert shifted.weights != one.weights


def test_the_world_s_randomness_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    one = _recipe().run(_trial())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = _recipe().run(_trial())
    assert one.weights == other.weights
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_of_the_test_cases_do_not_reach_the_network() -> None:
    masks = blobs((24, 24), 10)[1]
    swapped = masks.clone()
    swapped[[9, 4, 6]] = 1 - masks[[9, 4, 6]]
    one = _recipe().run(_trial())
    other = _recipe().run(_trial(cohort=_cohort(swapped)))
    assert other.weights == one.weights
    assert other.history == one.history
    assert [row["predicted"] for row in other.cases] == [row["predicted"] for row in one.cases]
    assert [row["dice"] for row in other.cases] != [row["dice"] for row in one.cases]


def test_labels_of_external_images_do_not_reach_the_network() -> None:
    masks = blobs((24, 24), 10)[1].clone()
    masks[[5, 7, 8]] = 0
    assert _recipe().run(_trial(cohort=_cohort(masks))).cases == _recipe().run(_trial()).cases


def test_the_training_subset_does_reach_the_network() -> None:
    masks = blobs((24, 24), 10)[1].clone()
    masks[[3, 1]] = 1 - masks[[3, 1]]
    assert _recipe().run(_trial(cohort=_cohort(masks))).weights != _recipe().run(_trial()).weights


class _Background(nn.Module):
    """Predicts background, whatever it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return -self.slope.square() * (1 + images.square())


def test_a_network_that_predicts_background_is_visible() -> None:
    outcome = _recipe(surface=True).run(_trial(build_network=_Background))
    assert outcome.summary["predicted"] == 0
    assert outcome.summary["empty_predictions"] == 3
    assert outcome.summary["dice"] == 0
    # No surface, no distance; and no part of the true one is met.
    assert outcome.summary["hd95"] is None
    assert outcome.summary["nsd"] == 0


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    _recipe().run(_trial(progress=lambda share, stage: seen.append(share)))
    assert seen == sorted(seen)
    assert len(seen) >= 12
    assert seen[-1] == 1
    assert 0 < seen[0] < 0.2


def test_surfaces_are_scored_in_the_order_of_the_cases() -> None:
    # 20 test cases are more than one batch of the evaluation.
    images, masks = blobs((24, 24), 24)
    cohort = build_cohort(
        tuple(Case(id=f"case{row}", subject=f"p{row}") for row in range(24)),
        images.numpy().copy(),
        masks[:, 0].numpy().astype(np.uint8),
        np.full((24, 2), 0.5),
        tuple(f"image{row}" for row in range(24)),
    )
    trained: list[nn.Module] = []

    def build() -> nn.Module:
        trained.append(_network())
        return trained[0]

    outcome = _recipe(surface=True).run(
        _trial(cohort=cohort, test=tuple(range(23, 3, -1)), build_network=build)
    )
    assert len(outcome.cases) == 20
    network = trained[0].eval()
    for row in outcome.cases:
        index = int(row["case"].removeprefix("case"))
        with torch.inference_mode():
            predicted = network(images[index : index + 1])[0] > 0
        expected = surface_scores(predicted, masks[index] > 0, [0.5, 0.5], 2.0)
        assert {name: row[name] for name in ("hd95", "nsd")} == expected


@pytest.mark.parametrize(("spacing", "distance"), [((1.0, 1.0), 3.0), ((1.0, 0.5), 1.5)])
def test_a_shifted_square_is_that_far_away(spacing: tuple[float, float], distance: float) -> None:
    scores = surface_scores(_square(8, 6, 7), _square(8, 9, 7), spacing, 0.1)
    assert scores["hd95"] == pytest.approx(distance)


def test_the_tolerance_decides_what_counts_as_met() -> None:
    pair = _square(8, 6, 7), _square(8, 9, 7)

    def nsd(tolerance: float) -> float:
        value = surface_scores(*pair, (1.0, 1.0), tolerance)["nsd"]
        assert value is not None
        return value

    assert nsd(3.0) == 1
    # Each outline has 24 pixels; 4 of the upper and 4 of the lower edge lie on the other one.
    assert nsd(0.1) == pytest.approx(8 / 24)
    assert nsd(0.1) < nsd(1.0) < nsd(2.0) < 1


def test_equal_masks_are_no_distance_apart() -> None:
    scores = surface_scores(_square(3, 4, 9), _square(3, 4, 9), (1.0, 1.0), 1.0)
    assert scores == {"hd95": 0.0, "nsd": 1.0}


def test_volumes_have_surfaces_too() -> None:
    cube = torch.zeros(1, 16, 16, 16, dtype=torch.bool)
    cube[0, 4:10, 4:10, 4:10] = True
    moved = cube.roll(2, dims=3)
    assert surface_scores(cube, moved, (1.0, 1.0, 2.5), 1.0)["hd95"] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (False, False, {"hd95": None, "nsd": None}),
        (True, False, {"hd95": None, "nsd": None}),
        (False, True, {"hd95": None, "nsd": 0.0}),
    ],
)
def test_an_empty_mask_has_no_surface(
    predicted: bool, true: bool, expected: dict[str, float | None]
) -> None:
    full, empty = _square(8, 8, 5), torch.zeros(1, 24, 24, dtype=torch.bool)
    scores = surface_scores(full if predicted else empty, full if true else empty, (1.0, 1.0), 1.0)
    assert scores == expected

"""Training a tiny network on a toy problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medscale.testing.images import blobs
from medscale.training.loop import Cases, Trained, TrainingDivergedError, evaluate, train
from medscale.training.options import AugmentationOptions, TrainingOptions

_STILL = AugmentationOptions(flip=0, affine=0, intensity=0)


def _cases(first: int, last: int) -> Cases:
    images, masks = blobs((24, 24), 12)
    return Cases(images=images[first:last], masks=masks[first:last], rows=torch.arange(first, last))


def _network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.InstanceNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 1, 1),
        )


def _train(
    network: nn.Module,
    *,
    training: Cases | None = None,
    validation: Cases | None = None,
    augmentation: AugmentationOptions = _STILL,
    progress: Callable[[float], None] = lambda share: None,
    seed: int = 0,
    **options: Any,
) -> Trained:
    return train(
        network,
        _cases(0, 4) if training is None else training,
        _cases(4, 8) if validation is None else validation,
        augmenters=[],
        options=TrainingOptions.model_validate({"batch_size": 2, **options}),
        augmentation=augmentation,
        order=np.random.default_rng(seed),
        generator=torch.Generator().manual_seed(seed),
        progress=progress,
    )


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in network.state_dict().values()])


def _dice(network: nn.Module, cases: Cases) -> float:
    return float(evaluate(network, cases)["dice"].mean())


def test_one_image_can_be_learnt_by_heart() -> None:
    network, one = _network(), _cases(0, 1)
    before = _dice(network, one)
    trained = _train(
        network, training=one, validation=one, amount=80, batch_size=1, learning_rate=0.01
    )
    assert _dice(network, one) > 0.9 > before
    assert trained.history[-1]["loss"] < 0.5 * trained.history[0]["loss"]


def test_what_was_learnt_holds_for_other_images() -> None:
    network = _network()
    _train(network, amount=80, learning_rate=0.01)
    assert _dice(network, _cases(8, 12)) > 0.8


def test_the_same_training_gives_the_same_weights_to_the_bit() -> None:
    results = []
    for seed in (0, 0, 1):
        network = _network()
        trained = _train(
            network, amount=12, learning_rate=0.01, augmentation=AugmentationOptions(), seed=seed
        )
        results.append((_weights(network), trained.history))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert not torch.equal(results[0][0], results[2][0])


@pytest.mark.parametrize("selection", ["bce", "dice"])
def test_the_best_checkpoint_is_restored(selection: str) -> None:
    # Learning so fast that scores go up and down.
    network, validation = _network(), _cases(4, 8)
    trained = _train(
        network,
        validation=validation,
        amount=30,
        validations=30,
        learning_rate=0.3,
        warmup=0,
        selection=selection,
    )
    values = [row[selection] for row in trained.history]
    best = min(values) if selection == "bce" else max(values)
    assert trained.best[selection] == best
    assert values[-1] != best
    scores = evaluate(network, validation)
    assert float(scores[selection].mean()) == best


def test_the_first_of_equal_checkpoints_is_kept() -> None:
    trained = _train(_network(), amount=4, validations=4, learning_rate=1e-30, selection="dice")
    assert [row["step"] for row in trained.history] == [1, 2, 3, 4]
    assert trained.best["step"] == 1


def test_training_stops_when_it_gets_no_better() -> None:
    shares: list[float] = []
    trained = _train(
        _network(),
        amount=40,
        validations=40,
        patience=3,
        learning_rate=1e-30,
        progress=shares.append,
    )
    assert trained.steps == len(trained.history) == 4
    assert max(shares) < 0.2


def test_without_patience_training_runs_to_its_end() -> None:
    shares: list[float] = []
    trained = _train(
        _network(), amount=10, validations=10, learning_rate=1e-30, progress=shares.append
    )
    assert trained.steps == len(trained.history) == 10
    assert shares == [(step + 1) / 10 for step in range(10)]


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({"budget": "epochs", "amount": 3}, [2, 4, 6], [1, 2, 3]),
        ({"budget": "steps", "amount": 6, "validations": 2}, [3, 6], [1.5, 3]),
        ({"budget": "samples", "amount": 8, "validations": 1}, [4], [2]),
    ],
)
def test_validation_comes_when_the_budget_says(
    options: dict[str, Any], steps: list[int], epochs: list[float]
) -> None:
    trained = _train(_network(), **options)
    assert [row["step"] for row in trained.history] == steps
    assert [row["epoch"] for row in trained.history] == epochs
    assert trained.steps == steps[-1]


def test_a_training_that_diverges_is_an_error() -> None:
    broken = _cases(0, 4)
    broken.images[2, 0, 3, 3] = float("nan")
    with pytest.raises(TrainingDivergedError, match=r"became nan by step 4: lower train\.learning"):
        _train(_network(), training=broken, amount=4, validations=1)


def test_the_last_step_may_not_break_the_network_either() -> None:
    # The one loss is a number; the weights that it leads to are none.
    with pytest.raises(TrainingDivergedError, match="after step 1: lower train"):
        _train(_network(), amount=1, learning_rate=1e30, warmup=0)


def test_validation_images_are_not_learnt_from() -> None:
    weights = []
    for validation in (_cases(4, 8), _cases(8, 12)):
        network = _network()
        _train(network, validation=validation, amount=6, validations=1)
        weights.append(_weights(network))
    assert torch.equal(weights[0], weights[1])


def test_training_leaves_its_images_alone() -> None:
    training = _cases(0, 4)
    before = training.images.clone(), training.masks.clone()
    _train(_network(), training=training, amount=4, augmentation=AugmentationOptions())
    assert torch.equal(training.images, before[0])
    assert torch.equal(training.masks, before[1])


def test_a_network_is_validated_as_it_predicts_and_trained_as_it_learns() -> None:
    modes: list[bool] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _network()

        def forward(self, images: Tensor) -> Tensor:
            modes.append(self.training)
            logits: Tensor = self.inner(images)
            return logits

    _train(Watched(), amount=4, validations=2)
    assert modes == [True, True, False, True, True, False]

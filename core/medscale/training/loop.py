"""Train one network on n images and keep its best checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medscale.errors import MedscaleError
from medscale.protocols import Augmenter, Batch
from medscale.training.augmentation import augment
from medscale.training.budgets import batches, learning_rate_factor, make_schedule
from medscale.training.losses import loss
from medscale.training.metrics import case_scores
from medscale.training.options import AugmentationOptions, TrainingOptions

_EVALUATION_BATCH = 16


class TrainingDivergedError(MedscaleError):
    """The loss of a training is no longer a number."""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Images and binary masks on the training device.

    Attributes:
        images: (N, C, *S) float32.
        masks: (N, 1, *S) float32, 0 or 1.
        rows: (N,) int64, their cohort rows.
    """

    images: Tensor
    masks: Tensor
    rows: Tensor


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training; the network passed in holds the best checkpoint.

    Attributes:
        history: One row per validation: step, epoch, training loss, validation bce and dice.
        best: The row of the chosen checkpoint.
        steps: Steps done, fewer than planned where training stopped early.
        seconds: Time by part: augmentation, network (forward, backward, optimiser), validation.
    """

    history: list[dict[str, float]]
    best: dict[str, float]
    steps: int
    seconds: dict[str, float]


def train(
    network: nn.Module,
    training: Cases,
    validation: Cases,
    *,
    augmenters: Sequence[Augmenter],
    options: TrainingOptions,
    augmentation: AugmentationOptions,
    order: np.random.Generator,
    generator: torch.Generator,
    progress: Callable[[float], None],
) -> Trained:
    """Train a network in place.

    Args:
        network: Initialised, on the device of the cases.
        training: The n annotated images.
        validation: Chooses the checkpoint.
        augmenters: The arm.
        options: Budget, optimiser, selection.
        augmentation: The baseline.
        order: Shuffles the passes.
        generator: Draws augmentations; a CPU generator.
        progress: Takes the done fraction after each step.

    Raises:
        TrainingDivergedError: If the loss or a validation score becomes NaN or infinite.
    """
    schedule = make_schedule(options, len(training.images))
    # Fused: all weights in one call, where one call each would cost more than the sums.
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate, fused=True)
    history: list[dict[str, float]] = []
    best: dict[str, float] = {}
    best_weights: dict[str, Tensor] = {}
    seconds = {"augmentation": 0.0, "network": 0.0, "validation": 0.0}
    total = torch.zeros((), device=training.images.device)
    since = step = 0
    network.train()
    for step, positions in enumerate(
        batches(len(training.images), options.batch_size, schedule, order), start=1
    ):
        started = time.perf_counter()
        index = torch.from_numpy(positions).to(training.images.device)
        batch = Batch(training.images[index], training.masks[index], training.rows[index])
        batch = augment(batch, augmenters, augmentation, generator)
        augmented = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * learning_rate_factor(schedule, step - 1)
        optimiser.zero_grad(set_to_none=True)
        value = loss(network(batch.images), batch.masks, options)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += value.detach()
        since += 1
        trained = time.perf_counter()
        seconds["augmentation"] += augmented - started
        seconds["network"] += trained - augmented
        if step in schedule.validate_at:
            mean = float(total) / since
            if not np.isfinite(mean):
                raise TrainingDivergedError(
                    f"the training loss became {mean} by step {step}: lower train.learning_rate "
                    f"(now {options.learning_rate:g})"
                )
            scores = evaluate(network, validation)
            if not bool(torch.isfinite(scores["bce"]).all()):
                # The last step's weights are not in any training loss.
                raise TrainingDivergedError(
                    f"the network's predictions are no numbers after step {step}: lower "
                    f"train.learning_rate (now {options.learning_rate:g})"
                )
            row = {
                "step": float(step),
                "epoch": step * options.batch_size / len(training.images)
                if schedule.epoch_size is None
                else step / schedule.epoch_size,
                "loss": mean,
                "bce": float(scores["bce"].mean()),
                "dice": float(scores["dice"].mean()),
            }
            history.append(row)
            total.zero_()
            since = 0
            if not best or _better(row, best, options):
                best = row
                best_weights = {
                    name: tensor.detach().clone() for name, tensor in network.state_dict().items()
                }
            network.train()
            seconds["validation"] += time.perf_counter() - trained
            waited = len(history) - 1 - history.index(best)
            if options.patience and waited >= options.patience:
                break
        progress(step / schedule.steps)
    network.load_state_dict(best_weights)
    return Trained(history=history, best=best, steps=step, seconds=seconds)


def _better(row: dict[str, float], best: dict[str, float], options: TrainingOptions) -> bool:
    if options.selection == "bce":
        return row["bce"] < best["bce"]
    return row["dice"] > best["dice"]


@torch.inference_mode()
def evaluate(
    network: nn.Module, cases: Cases, inspect: Callable[[int, Tensor], Any] | None = None
) -> dict[str, Tensor]:
    """Score every case.

    Args:
        network: On the device of the cases; left in evaluation mode.
        cases: What to score.
        inspect: Called with the first position of each batch and its predicted masks (B, 1, *S).

    Returns:
        CPU tensors (N,) by score, see `medscale.training.metrics.case_scores`.
    """
    network.eval()
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(cases.images), _EVALUATION_BATCH):
        stop = start + _EVALUATION_BATCH
        logits = network(cases.images[start:stop])
        parts.append(case_scores(logits, cases.masks[start:stop]))
        if inspect is not None:
            inspect(start, logits > 0)
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}

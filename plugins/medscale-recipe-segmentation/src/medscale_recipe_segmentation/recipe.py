"""One trial of the data-scaling study: train on n images, keep the best, score the test once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from medscale.seeding import seeded_torch
from medscale.study.context import Outcome
from medscale.study.examples import Example, example, ranked
from medscale.training.loop import Cases, evaluate, train
from medscale_recipe_segmentation.config import SegmentationOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from medscale.protocols import PluginContext
    from medscale.study.context import TrialContext

_TRAINING_SHARE = 0.95
"""Of a trial's progress; scoring the test set is the rest."""


class Segmentation:
    """Binary segmentation."""

    def __init__(self, config: SegmentationOptions, context: PluginContext) -> None:
        self._config = config

    def run(self, trial: TrialContext) -> Outcome:
        """Train, choose the checkpoint on validation, score the test cases.

        The initial weights, the order of the images and the draws of the baseline are the same in
        every arm of a replicate, so that arms are compared pair by pair.
        """
        started = time.perf_counter()
        with seeded_torch(trial.seed("dropout"), trial.device):
            network = trial.build_network().to(trial.device)
            trained = train(
                network,
                _cases(trial, trial.train),
                _cases(trial, trial.validation),
                augmenters=trial.augmenters,
                options=trial.training,
                augmentation=trial.augmentation,
                order=trial.numpy_generator("order"),
                generator=trial.torch_generator("augmentation"),
                progress=lambda share: trial.progress(_TRAINING_SHARE * share, "training"),
            )
            ended = time.perf_counter()
            rows = self._score(trial, network)
            examples = _examples(trial, network, rows)
        trial.progress(1.0, "scored")
        summary: dict[str, Any] = {
            name: _mean([row[name] for row in rows])
            for name in rows[0]
            if name not in ("case", "subject")
        }
        summary |= {
            "empty_predictions": sum(row["predicted"] == 0 for row in rows),
            "validation_bce": trained.best["bce"],
            "validation_dice": trained.best["dice"],
            "best_step": int(trained.best["step"]),
            "best_epoch": trained.best["epoch"],
            "steps": trained.steps,
        }
        return Outcome(
            cases=rows,
            summary=summary,
            history=trained.history,
            examples=examples,
            weights=_digest(network),
            timing={
                **trained.seconds,
                "training": ended - started,
                "test": time.perf_counter() - ended,
            },
        )

    def _score(self, trial: TrialContext, network: nn.Module) -> list[dict[str, Any]]:
        cases = _cases(trial, trial.test)
        surfaces: list[dict[str, float | None]] = []

        def inspect(start: int, predicted: Tensor) -> None:
            from medscale_recipe_segmentation.surface import surface_scores

            for offset, mask in enumerate(predicted):
                spacing = trial.cohort.spacing[trial.test[start + offset]]
                true = cases.masks[start + offset] > 0.5
                surfaces.append(
                    surface_scores(mask, true, spacing.tolist(), self._config.tolerance)
                )

        scores = evaluate(network, cases, inspect if self._config.surface else None)
        rows = []
        for position, row in enumerate(trial.test):
            case = trial.cohort.cases[row]
            entry: dict[str, Any] = {"case": case.id, "subject": case.subject}
            entry |= {name: float(values[position]) for name, values in scores.items()}
            if surfaces:
                entry |= surfaces[position]
            rows.append(entry)
        return rows


def _cases(trial: TrialContext, rows: tuple[int, ...]) -> Cases:
    """Move some cases of the cohort to the trial's device."""
    index = list(rows)
    masks = trial.cohort.target(trial.task, index)[:, None]
    return Cases(
        images=torch.from_numpy(trial.cohort.images[index]).to(trial.device),
        masks=torch.from_numpy(masks).to(trial.device, torch.float32),
        rows=torch.tensor(index, device=trial.device),
    )


@torch.no_grad()
def _examples(
    trial: TrialContext, network: nn.Module, rows: Sequence[Mapping[str, Any]]
) -> tuple[Example, ...]:
    """Keep what the network found in the worst, the median and the best test case."""
    kept = ranked([row["dice"] for row in rows])
    cases = _cases(trial, tuple(trial.test[place] for place in kept))
    predicted = (network(cases.images) > 0)[:, 0].cpu().numpy()
    true = (cases.masks > 0.5)[:, 0].cpu().numpy()
    return tuple(
        example(rows[place]["case"], rank, rows[place]["dice"], mask, annotated)
        for (place, rank), mask, annotated in zip(kept.items(), predicted, true, strict=True)
    )


def _mean(values: list[float | None]) -> float | None:
    """Return the mean of the defined values, None where there is none."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def _digest(network: nn.Module) -> str:
    """Return a hash of the weights: equal hashes are equal networks, to the bit."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

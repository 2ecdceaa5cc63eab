"""Trains a segmentation network and scores how much foreground it predicts."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from medscale.seeding import seeded_torch
from medscale.study.context import Outcome
from medscale.training.loop import Cases, evaluate, train
from plugin_module.config import PluginOptions

if TYPE_CHECKING:
    from medscale.protocols import PluginContext
    from medscale.study.context import TrialContext


class PluginClass:
    """For studies of volume rather than of outlines."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    def run(self, trial: TrialContext) -> Outcome:
        """Train on `trial.train`, choose by `trial.validation`, read `trial.test` once."""
        # Dropout draws from torch's global generator; this seeds it and puts it back.
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
                progress=lambda share: trial.progress(0.9 * share, "training"),
            )
            scores = evaluate(network, _cases(trial, trial.test))
        errors = (scores["predicted"] - scores["true"]).tolist()
        if not self._config.signed:
            errors = [abs(error) for error in errors]
        cases: list[dict[str, Any]] = []
        for row, error, dice in zip(trial.test, errors, scores["dice"].tolist(), strict=True):
            case = trial.cohort.cases[row]
            entry = {"case": case.id, "subject": case.subject}
            cases.append({**entry, "share_error": error, "dice": dice})
        trial.progress(1.0, "scored")
        return Outcome(
            cases=cases,
            summary={name: fmean(row[name] for row in cases) for name in ("share_error", "dice")},
            history=trained.history,
            timing=trained.seconds,
        )


def _cases(trial: TrialContext, rows: tuple[int, ...]) -> Cases:
    """Move some cases of the cohort to the trial's device."""
    index = list(rows)
    masks = trial.cohort.target(trial.task, index)[:, None]
    return Cases(
        images=torch.from_numpy(trial.cohort.images[index]).to(trial.device),
        masks=torch.from_numpy(masks).to(trial.device, torch.float32),
        rows=torch.tensor(index, device=trial.device),
    )

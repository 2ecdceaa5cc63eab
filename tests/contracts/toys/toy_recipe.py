"""A good recipe, and one bad one for each promise that a recipe can break."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tests.contracts.breaking import breaks, good
from torch import Tensor

from medscale.config import Options
from medscale.identity import array_key
from medscale.protocols import Batch, PluginContext
from medscale.study.context import Outcome, TrialContext
from medscale.testing import RecipeTests


@good(RecipeTests, shapes=((16, 16), (8, 8, 8)))
class Toy:
    """Trains for a few steps and scores the cross-entropy."""

    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def masks(self, trial: TrialContext, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.isin(trial.cohort.labels[list(rows)], trial.task.labels)).float()

    def images(self, trial: TrialContext, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(trial.cohort.images[list(rows)])

    def training_rows(self, trial: TrialContext) -> Sequence[int]:
        return trial.train

    def annotated(self, trial: TrialContext) -> Sequence[int]:
        return ()

    def scored_rows(self, trial: TrialContext) -> Sequence[int]:
        return trial.test

    def run(self, trial: TrialContext) -> Outcome:
        rows = [*self.training_rows(trial), *self.annotated(trial)]
        images, masks = self.images(trial, rows), self.masks(trial, rows)[:, None]
        network = trial.build_network()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        order, draws = trial.torch_generator("order"), trial.torch_generator("augmentation")
        for step in range(3):
            chosen = torch.randperm(len(rows), generator=order)[:4]
            batch = Batch(images[chosen], masks[chosen], torch.tensor(rows)[chosen])
            for augmenter in trial.augmenters:
                batch = augmenter.augment(batch, draws)
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(network(batch.images), batch.masks)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            trial.progress(step / 3, "training")
        scored = self.scored_rows(trial)
        with torch.no_grad():
            logits = network(self.images(trial, scored))[:, 0]
            scores = F.binary_cross_entropy_with_logits(
                logits, self.masks(trial, scored), reduction="none"
            )
        values = scores.flatten(1).mean(1).tolist()
        cases = [trial.cohort.cases[row] for row in trial.test]
        trial.progress(1.0, "scored")
        weights = [p.detach().numpy() for p in network.parameters()]
        return Outcome(
            cases=[
                {"case": case.id, "subject": case.subject, "bce": value}
                for case, value in zip(cases, values, strict=True)
            ],
            summary={"bce": sum(values) / len(values)},
            weights=array_key(*weights),
        )


class Edited(Toy):
    """Changes something about the outcome."""

    def edit(self, outcome: Outcome) -> Outcome:
        return outcome

    def run(self, trial: TrialContext) -> Outcome:
        return self.edit(super().run(trial))


@breaks(RecipeTests, "test_fulfils_its_protocol")
class NoRun:
    def __init__(self, config: Options, context: PluginContext) -> None: ...


@breaks(RecipeTests, "test_one_row_for_each_test_case")
class SortsRows(Edited):
    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, cases=sorted(outcome.cases, key=lambda row: str(row["case"])))


@breaks(RecipeTests, "test_one_row_for_each_test_case")
class NoScores(Edited):
    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, cases=[{**row, "bce": None} for row in outcome.cases])


@breaks(RecipeTests, "test_summary_has_numbers")
class EmptySummary(Edited):
    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, summary={"verdict": "good", "done": True})


@breaks(RecipeTests, "test_outcome_is_json")
class NotANumber(Edited):
    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, summary={**outcome.summary, "hd95": float("nan")})


@breaks(RecipeTests, "test_outcome_is_json")
class NumpyNumbers(Edited):
    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, summary={"bce": np.float32(outcome.summary["bce"])})


@breaks(RecipeTests, "test_trial_is_repeatable")
class Counts(Edited):
    runs = itertools.count()

    def edit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, summary={**outcome.summary, "run": next(self.runs)})


@breaks(RecipeTests, "test_seed_is_used")
class OneSeed(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        return super().run(replace(trial, replicate=0))


@breaks(RecipeTests, "test_progress_rises_to_one")
class StopsShort(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        return super().run(
            replace(trial, progress=lambda done, doing: trial.progress(done * 0.9, doing))
        )


@breaks(RecipeTests, "test_progress_rises_to_one")
class FallsBack(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        outcome = super().run(trial)
        trial.progress(0.5, "tidying up")
        trial.progress(1.0, "done")
        return outcome


@breaks(RecipeTests, "test_test_cases_do_not_influence_training")
class TrainsOnTest(Toy):
    def annotated(self, trial: TrialContext) -> Sequence[int]:
        return trial.test


@breaks(RecipeTests, "test_only_the_subset_is_annotated")
class TrainsOnThePool(Toy):
    def annotated(self, trial: TrialContext) -> Sequence[int]:
        return trial.pool


@breaks(RecipeTests, "test_scores_come_from_the_test_labels")
class ScoresTraining(Toy):
    def scored_rows(self, trial: TrialContext) -> Sequence[int]:
        return trial.train[: len(trial.test)]


@breaks(RecipeTests, "test_other_structures_do_not_matter")
class AnyForeground(Toy):
    def masks(self, trial: TrialContext, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(trial.cohort.labels[list(rows)] > 0).float()


@breaks(RecipeTests, "test_arm_augments_training_cases_only")
class ForgetsTheArm(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        return super().run(replace(trial, augmenters=()))


@breaks(RecipeTests, "test_arm_augments_training_cases_only")
class AugmentsTheTest(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        for augmenter in trial.augmenters:
            images, masks = self.images(trial, trial.test), self.masks(trial, trial.test)
            batch = Batch(images, masks[:, None], torch.tensor(trial.test))
            augmenter.augment(batch, trial.torch_generator("test-time augmentation"))
        return super().run(trial)


@breaks(RecipeTests, "test_cohort_is_left_as_it_is")
class CentresInPlace(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        whole: Any = torch.from_numpy(trial.cohort.images)
        whole.sub_(whole.mean())
        return super().run(trial)


@breaks(RecipeTests, "test_global_randomness_is_left_alone")
class SeedsTorch(Toy):
    def run(self, trial: TrialContext) -> Outcome:
        torch.manual_seed(trial.seed("everything"))
        return super().run(trial)

"""Training a generator: rounds with a checkpoint after each, a verdict, and another seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from medscale.seeding import derive_seed
from medscale_augmenter_gen.adversaries import Adversaries
from medscale_augmenter_gen.archive import Archive, Kept
from medscale_augmenter_gen.basis import Basis
from medscale_augmenter_gen.config import TrainingOptions
from medscale_augmenter_gen.lesson import Lesson, spread
from medscale_augmenter_gen.networks import Generator
from medscale_augmenter_gen.trained import TrainedGenerator

_ROUNDS = 20
_JUDGED = 16
"""Deformations of each image that is held aside."""


class Trainer:
    """Trains a generator, going on from a checkpoint where there is one.

    Args:
        lesson: All that is learned from.
        options: Of the training.
        archive: Where checkpoints and the result go.
        seed: Of the first attempt; others are derived from it.
        progress: Told of the done share of an attempt.
        log: Takes a line.
    """

    def __init__(
        self,
        lesson: Lesson,
        options: TrainingOptions,
        archive: Archive,
        *,
        seed: int,
        progress: Callable[[float], None],
        log: Callable[[str], None],
    ) -> None:
        self._learned, self._judged = lesson.split()
        self._basis = Basis.of(self._learned.points, self._learned.fields, options.components)
        self._options, self._archive, self._seed = options, archive, seed
        self._progress, self._log = progress, log

    def train(self, facts: Mapping[str, Any]) -> None:
        """Train until a generator is usable or seeds run out, and commit the outcome.

        Args:
            facts: About the lesson, for the record.
        """
        start = self._archive.checkpoint()
        attempts: list[dict[str, Any]] = start.facts["attempts"] if start else [_blank()]
        while True:
            generator = self._attempt(attempts, start)
            start = None
            usable = attempts[-1]["log"][-1]["spread"] >= self._options.least_spread
            if usable or len(attempts) == self._options.attempts:
                break
            self._log(
                f"the generator collapsed (spread {attempts[-1]['log'][-1]['spread']:.2f} of the "
                f"registered deformations', at least {self._options.least_spread:g} expected): "
                f"trying seed {len(attempts) + 1} of {self._options.attempts}"
            )
            attempts.append(_blank())
        last = attempts[-1]["log"][-1]
        record = {
            **facts,
            "usable": usable,
            "spread": last["spread"],
            "length": last["length"],
            "components": len(self._basis.vectors),
            "variance kept": self._basis.kept,
            "attempts": attempts,
        }
        trained = TrainedGenerator(generator, self._basis.vectors)
        form = self._learned.images.shape[1:]
        self._archive.commit(Kept(trained.tensors(form), record))

    def _attempt(self, attempts: list[dict[str, Any]], start: Kept | None) -> Generator:
        """Train with one seed; the last attempt's entry is kept up to date."""
        options, entry = self._options, attempts[-1]
        seed = derive_seed(self._seed, "generator", len(attempts))
        adversaries = Adversaries(self._learned, self._basis, options, seed)
        if start is not None:
            adversaries.resume(start.tensors)
        ends = [options.iterations * number // _ROUNDS for number in range(1, _ROUNDS + 1)]
        for end in ends:
            if end <= entry["iteration"]:
                continue
            losses: list[dict[str, float]] = []
            for iteration in range(entry["iteration"], end):
                losses.append(adversaries.step(iteration))
                self._progress(iteration / options.iterations)
            entry["iteration"] = end
            entry["log"].append(
                {"iteration": end, **_means(losses), **self._judge(adversaries.mean, seed)}
            )
            self._archive.save_checkpoint(Kept(adversaries.state(), {"attempts": attempts}))
        return adversaries.mean

    @torch.no_grad()
    def _judge(self, generator: Generator, seed: int) -> dict[str, float]:
        """Return how far and how variedly it deforms, as shares of the registered deformations."""
        judged, basis = self._judged, self._basis
        owners = torch.arange(len(judged.images)).repeat_interleave(_JUDGED)
        noise = torch.randn(
            len(owners), len(basis.vectors), generator=torch.Generator().manual_seed(seed)
        )
        features = generator.encoder(judged.images)[owners.to(judged.images.device)]
        generated = generator(features, noise.to(features)) * basis.scales
        registered = judged.points.flatten(1)
        shares = {
            "spread": spread(generated, owners) / spread(registered, judged.owners),
            "length": float(generated.norm(dim=1).mean() / registered.norm(dim=1).mean()),
        }
        # Weights that have diverged deform nothing, as far as anybody can use them.
        return {name: share if math.isfinite(share) else 0.0 for name, share in shares.items()}


def _blank() -> dict[str, Any]:
    """Return the record of an attempt that has not begun."""
    return {"iteration": 0, "log": []}


def _means(rows: list[dict[str, float]]) -> dict[str, float | None]:
    """Return means by name; None for what is no number, which JSON does not know."""
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}

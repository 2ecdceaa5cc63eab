"""GenDA: training images deformed by a generator that has learned from registered pairs.

Images of the pool are registered to each other. A conditional GAN learns what that gives, and makes
new deformations from an image and noise, scaled by a random μ (Chu et al. 2025, section 3.3).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from medscale.errors import DataError
from medscale.fields.codes import displaced, in_words, sound_displacements, undisplaced
from medscale.fields.lattice import coarse_grid
from medscale.fields.registration import PairRegistration, Wanted
from medscale.identity import content_key
from medscale.training.deformation import deform
from medscale_augmenter_gen.archive import Archive, Kept
from medscale_augmenter_gen.config import GenOptions
from medscale_augmenter_gen.networks import thumbnails
from medscale_augmenter_gen.pairs import choose_pairs, first_targets, learn_from
from medscale_augmenter_gen.trained import TrainedGenerator
from medscale_augmenter_gen.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from medscale.fields.quality import Gate
    from medscale.protocols import Batch, PluginContext, PoolView

GENERATOR_VERSION = 2
"""Raised when the same pairs and options train another generator; so is `behavior`."""

_POLL_SECONDS = 0.5


class GenDA:
    """A distribution over deformations that a generator has learned."""

    def __init__(self, config: GenOptions, context: PluginContext) -> None:
        self._config = config
        self._log = context.log
        self._progress = context.progress
        self._device = context.device
        self._folder = context.cache / "generators"
        self.registration = PairRegistration.of(config, context)
        self._trained: TrainedGenerator | None = None
        self._features: dict[int, Tensor] = {}
        self._facts: dict[str, Any] = {}

    @property
    def gate(self) -> Gate:
        """Which registrations are learned from."""
        return self._config.gate

    def wanted(self, view: PoolView, sources: Iterable[int]) -> Wanted:
        """Return the targets of each source, of those that the generator learns from."""
        orders = choose_pairs(view, self._config)
        pairs = first_targets(orders, self._config.targets_per_source)
        return {source: pairs[source] for source in sources if source in pairs}

    def fit(self, view: PoolView) -> None:
        """Train the generator of this pool, or read it where somebody has."""
        self._trained, self._features = None, {}
        kept = self._obtain(view)
        if kept is None:
            return
        self._trained = TrainedGenerator.load(kept.tensors, torch.device(self._device))
        self._facts = {name: fact for name, fact in kept.facts.items() if name != "attempts"}
        images = thumbnails(view.take(view.subset)).to(self._device)
        features = self._trained.features(images)
        self._features = dict(zip(view.indices[list(view.subset)].tolist(), features, strict=True))

    def _obtain(self, view: PoolView) -> Kept | None:
        """Return the generator; None where the pool has nothing to teach.

        Raises:
            DataError: If it collapsed, with every seed.
        """
        orders = choose_pairs(view, self._config)
        archive = Archive(self._folder / self._key(view, orders))
        kept = archive.read()
        if kept is None and not self._train(view, orders, archive):
            return None
        kept = kept or archive.read()
        assert kept is not None
        if not kept.facts["usable"]:
            raise DataError(
                f"the generator collapsed with each of {len(kept.facts['attempts'])} seeds (spread "
                f"{kept.facts['spread']:.2f} of the registered deformations', expected "
                f"{self._config.training.least_spread:g}); {archive.folder} has the training log: "
                "lower gen.training.smoothness, raise gen.training.iterations, or use the arm reg"
            )
        return kept

    def _train(self, view: PoolView, orders: Wanted, archive: Archive) -> bool:
        """Have the generator trained, here or by a process that is at it; False without pairs."""
        wanted = first_targets(orders, self._config.targets_per_source)
        pairs = self.registration.obtain(view, wanted, orders, self._progress)
        lesson, facts = learn_from(view, pairs, self.registration, self._config)
        self._facts = facts
        if lesson is None:
            images = len(view.subset)
            self._log(
                f"gen leaves {images} of {images} training images undeformed: no "
                f"registration of {len(view.indices)} images is there to learn from (turned away: "
                f"{in_words(facts['turned away'])})"
            )
            return False
        while archive.read() is None:
            with archive.claim() as mine:
                if mine and archive.read() is None:
                    Trainer(
                        lesson,
                        self._config.training,
                        archive,
                        seed=view.seed,
                        progress=self._training,
                        log=self._log,
                    ).train(facts)
            if not mine:
                self._training(archive.share_done(self._config.training.iterations))
                time.sleep(_POLL_SECONDS)
        return True

    def _key(self, view: PoolView, orders: Wanted) -> str:
        """Return the name of all that the generator follows from."""
        config, count = self._config, self._config.targets_per_source
        keys = view.keys
        return content_key(
            {
                "version": GENERATOR_VERSION,
                "store": self.registration.store(view).root.name,
                "pairs": [
                    [keys[source], [keys[target] for target in targets]]
                    for source, targets in first_targets(orders, count).items()
                ],
                "gate": config.gate.model_dump(mode="json"),
                "parameterization": config.parameterization,
                "grid": config.grid,
                "training": config.training.model_dump(mode="json"),
                "seed": view.seed,
            }
        )

    def _training(self, share: float) -> None:
        self._progress("generator", share)

    def describe(self) -> Mapping[str, Any]:
        """Return what was learned from, and how varied what was learned is."""
        return self._facts

    @torch.no_grad()
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return (B, D, *G) displacements in pixels of the image, G as in `coarse_grid`.

        Zero where a sample is left alone; where all are, the field is a single zero. None folds
        (`sound_displacements`).
        """
        if self._trained is None:
            return undisplaced(batch)
        config, shape = self._config, tuple(batch.images.shape[2:])
        count = len(batch.images)
        # As many numbers for every sample, used or not, so that what is left alone by chance
        # shifts nobody's stream.
        chance, extent = torch.rand(count, 2, generator=generator).unbind(1)
        noise = torch.randn(count, len(self._trained.vectors), generator=generator)
        chosen = [
            sample
            for sample, row in enumerate(batch.indices.tolist())
            if row in self._features and float(chance[sample]) < config.prob
        ]
        if not chosen:
            return undisplaced(batch)
        features = torch.stack([self._features[row] for row in batch.indices[chosen].tolist()])
        extents = config.extent_min + (config.extent_max - config.extent_min) * extent[chosen]
        made = self._trained.deformations(features, noise[chosen], extents)
        if config.parameterization == "displacement":
            return displaced(batch, chosen, sound_displacements(lambda fields: fields, made))
        displace = partial(self.registration.displacement, grid=coarse_grid(shape, config.grid))
        return displaced(batch, chosen, sound_displacements(displace, made))

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Warp images linearly and masks with threshold ½; zero outside."""
        return deform(batch, self.displacements(batch, generator))

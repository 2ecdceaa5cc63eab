"""The arm that every other arm is compared with."""

from __future__ import annotations

import torch

from medscale.protocols import PluginContext, SupportsDisplacements
from medscale.testing.images import batch_of, pool_of
from medscale.training.augmentation import augment
from medscale.training.options import AugmentationOptions
from medscale_augmenter_none.augmenter import NoAugmentation
from medscale_augmenter_none.config import NoneOptions


def test_it_changes_nothing_and_draws_nothing() -> None:
    none = NoAugmentation(NoneOptions(), PluginContext())
    none.fit(pool_of((16, 20), 4))
    batch, generator = batch_of((16, 20), 3), torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert none.augment(batch, generator) is batch
    assert torch.equal(generator.get_state(), before)


def test_its_arm_is_the_baseline_alone() -> None:
    none = NoAugmentation(NoneOptions(), PluginContext())
    assert not isinstance(none, SupportsDisplacements)
    results = [
        augment(batch_of((16, 20), 3), arm, AugmentationOptions(), torch.Generator().manual_seed(0))
        for arm in ([], [none])
    ]
    assert torch.equal(results[0].images, results[1].images)
    assert torch.equal(results[0].masks, results[1].masks)

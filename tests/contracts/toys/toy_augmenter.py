"""A good augmenter, and one bad one for each promise that an augmenter can break."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import torch
from tests.contracts.breaking import breaks, good
from torch import Tensor

from medscale.config import Options
from medscale.fields.interpolation import Band, Spline
from medscale.fields.warp import warp
from medscale.protocols import Batch, PluginContext, PoolView
from medscale.testing import AugmenterTests


@good(AugmenterTests, shapes=((24, 20), (10, 12, 8)))
class Shift:
    """Shifts each image by up to three voxels, and learns the mean image of the pool."""

    def __init__(self, config: Options, context: PluginContext) -> None:
        self.cache = context.cache

    def fit(self, view: PoolView) -> None:
        path = self.cache / f"{view.content}.pt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(self.learn(view), path)
        self.learned: Tensor = torch.load(path)

    def learn(self, view: PoolView) -> Tensor:
        generator = torch.Generator().manual_seed(view.seed)
        learned: Tensor = 1 + torch.rand(1, generator=generator)
        return learned

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        shape = batch.images.shape[2:]
        lead = (len(batch.images), len(shape), *[1] * len(shape))
        shift = 1.5 * self.learned * (2 * torch.rand(lead, generator=generator) - 1)
        return shift.to(batch.images).expand(*lead[:2], *shape).clone()

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        field = self.displacements(batch, generator)
        masks = (warp(batch.masks, field) >= 0.5).float()
        return batch.replace(images=warp(batch.images, field), masks=masks)


@good(AugmenterTests)
class ShiftOfTheOutput(Shift):
    frame = "output"


@good(AugmenterTests)
class ShiftAsSpline(ShiftOfTheOutput):
    def spline(self, batch: Batch, generator: torch.Generator) -> Spline:
        shape = tuple(batch.images.shape[2:])
        values = self.displacements(batch, generator)
        for axis in range(2, values.ndim):
            values = values.narrow(axis, 0, 1)
        return Spline(values, tuple(Band(np.ones((n, 1))) for n in shape))


@good(AugmenterTests)
class Brightness(Shift):
    """A good augmenter that is no deformation."""

    displacements: Any = None

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        lead = (len(batch.images), *[1] * (batch.images.ndim - 1))
        factor = 0.5 + 0.5 * torch.rand(lead, generator=generator)
        return batch.replace(images=batch.images * factor, masks=batch.masks)


@breaks(AugmenterTests, "test_fulfils_its_protocol")
class NoFit:
    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch


@breaks(
    AugmenterTests,
    "test_standard_tests_are_not_overridden",
    test_masks_stay_binary=lambda self: None,
)
class PassesByOverriding(Shift): ...


@breaks(AugmenterTests, "test_standard_tests_are_not_overridden", test_masks_stay_binary=None)
class PassesByDeleting(Shift): ...


@breaks(AugmenterTests, "test_batch_keeps_its_form")
class OneChannelOnly(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        result = super().augment(batch, generator)
        return result.replace(images=result.images[:, :1], masks=result.masks)


@breaks(AugmenterTests, "test_batch_keeps_its_form")
class BoolMasks(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        result = super().augment(batch, generator)
        return result.replace(images=result.images, masks=result.masks > 0.5)


@breaks(AugmenterTests, "test_indices_are_kept")
class Shuffles(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        result = super().augment(batch, generator)
        return dataclasses.replace(result, indices=result.indices.flip(0))


@breaks(AugmenterTests, "test_input_is_left_as_it_is")
class InPlace(Brightness):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        batch.images.mul_(torch.rand(1, generator=generator))
        return batch


@breaks(
    AugmenterTests,
    "test_same_seed_gives_same_bytes",
    "test_displacements_are_repeatable",
    "test_fit_is_repeatable",
)
class OwnRandomness(Shift):
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return super().displacements(batch, torch.Generator().manual_seed(random.getrandbits(60)))


@breaks(
    AugmenterTests,
    "test_other_seed_gives_other_bytes",
    "test_batches_in_a_row_differ",
    "test_displacements_are_repeatable",
)
class IgnoresGenerator(Shift):
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return super().displacements(batch, torch.Generator().manual_seed(1))


@breaks(AugmenterTests, "test_batches_in_a_row_differ")
class SeedsFromTheSeed(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        own = torch.Generator().manual_seed(generator.initial_seed())
        return super().augment(batch, own)


@breaks(AugmenterTests, "test_samples_in_a_batch_differ")
class OneDrawForAll(Shift):
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        field = super().displacements(batch, generator)
        return field[:1].expand_as(field).clone()


@breaks(AugmenterTests, "test_masks_stay_binary")
class SoftMasks(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        field = self.displacements(batch, generator)
        return batch.replace(images=warp(batch.images, field), masks=warp(batch.masks, field))


@breaks(AugmenterTests, "test_images_stay_finite")
class DividesByZero(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        result = super().augment(batch, generator)
        return result.replace(images=result.images / result.images.abs(), masks=result.masks)


@breaks(AugmenterTests, "test_batch_of_one_works")
class Squeezes(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        result = super().augment(batch, generator)
        return result.replace(images=result.images.squeeze(0), masks=result.masks.squeeze(0))


@breaks(AugmenterTests, "test_only_the_generator_decides")
class DrawsAside(Shift):
    """Puts the global state back, so that only its results give it away."""

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            return super().displacements(batch, generator) * torch.rand(1)


@breaks(AugmenterTests, "test_global_randomness_is_left_alone")
class SeedsTorch(Shift):
    def fit(self, view: PoolView) -> None:
        torch.manual_seed(view.seed)
        super().fit(view)


@breaks(AugmenterTests, "test_global_randomness_is_left_alone")
class DrawsFromPython(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch if random.random() < 0.5 else super().augment(batch, generator)


@breaks(AugmenterTests, "test_fit_leaves_the_pool_alone")
class ErodesTheMasks(Shift):
    def learn(self, view: PoolView) -> Tensor:
        view.masks.mul_(0.5)
        return super().learn(view)


@breaks(AugmenterTests, "test_fit_is_repeatable")
class LearnsUnseeded(Shift):
    def learn(self, view: PoolView) -> Tensor:
        return 1 + torch.rand(1)


@breaks(AugmenterTests, "test_cached_fit_is_the_same")
class CachesRounded(Shift):
    def fit(self, view: PoolView) -> None:
        path = self.cache / f"{view.content}.pt"
        if path.exists():
            self.learned = torch.load(path).float()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self.learned = self.learn(view)
        torch.save(self.learned.half(), path)


@breaks(AugmenterTests, "test_pool_of_one_works_or_is_one_sentence")
class NeedsTwo(Shift):
    def learn(self, view: PoolView) -> Tensor:
        return view.images[1].mean().reshape(1)


@breaks(AugmenterTests, "test_displacements_have_their_form")
class ComponentsLast(Shift):
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return super().displacements(batch, generator).movedim(1, -1)


@breaks(AugmenterTests, "test_frame_is_image_or_output")
class FrameOfTheMask(Shift):
    frame = "mask"


@breaks(AugmenterTests, "test_output_frame_knows_no_image")
class LooksAtTheImage(ShiftOfTheOutput):
    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return super().displacements(batch, generator) * batch.images.mean()


@breaks(AugmenterTests, "test_spline_is_displacements")
class SplineOfAnotherDraw(ShiftAsSpline):
    def spline(self, batch: Batch, generator: torch.Generator) -> Spline:
        torch.rand(1, generator=generator)
        return super().spline(batch, generator)


@breaks(AugmenterTests, "test_augment_warps_by_displacements")
class WrongAxisOrder(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        field = self.displacements(batch, generator).flip(1)
        masks = (warp(batch.masks, field) >= 0.5).float()
        return batch.replace(images=warp(batch.images, field), masks=masks)


@breaks(AugmenterTests, "test_augment_warps_by_displacements")
class ForgetsTheMask(Shift):
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch.replace(images=super().augment(batch, generator).images, masks=batch.masks)

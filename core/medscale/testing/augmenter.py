"""The contract of augmenters, as tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from medscale.errors import MedscaleError
from medscale.fields.warp import warp
from medscale.protocols import (
    Augmenter,
    Batch,
    SupportsDisplacements,
    SupportsFrame,
    SupportsSpline,
)
from medscale.testing.base import ShapedTests
from medscale.testing.images import batch_of, pool_of
from medscale.testing.state import global_state_untouched, same_bytes, seeded_globals
from medscale.training.augmentation import at_shape

Shape = tuple[int, ...]
Make = Callable[[], Any]


class AugmenterTests(ShapedTests):
    """Subclass with `spec`, options under which fitting is quick, and the `shapes` to try.

    Attributes:
        changes_images: False for an augmenter that by its nature returns what it got.
        pool_size: Images of the toy pool; its first half is annotated.
    """

    kind: ClassVar[str] = "augmenter"
    changes_images: ClassVar[bool] = True
    pool_size: ClassVar[int] = 6

    @pytest.fixture
    def fitted(self, make: Make) -> Callable[[Shape], Any]:
        """Construct an instance and fit it to a pool of that shape."""

        def fit(shape: Shape) -> Any:
            augmenter = make()
            augmenter.fit(pool_of(shape, self.pool_size))
            return augmenter

        return fit

    @pytest.fixture
    def deforming(self, fitted: Callable[[Shape], Any]) -> Callable[[Shape], Any]:
        """Like `fitted`, for augmenters that are a distribution over deformations."""

        def fit(shape: Shape) -> Any:
            augmenter = fitted(shape)
            if not isinstance(augmenter, SupportsDisplacements):
                pytest.skip("capability absent: SupportsDisplacements")
            return augmenter

        return fit

    @pytest.mark.parametrize("channels", [1, 3])
    def test_batch_keeps_its_form(self, make: Make, shape: Shape, channels: int) -> None:
        """Shapes, types and devices come out as they went in, for grey and colour images.

        How to fix: change all channels alike and return `batch.replace(images=…, masks=…)`.
        """
        augmenter = make()
        augmenter.fit(pool_of(shape, self.pool_size, channels=channels))
        batch = batch_of(shape, 3, channels=channels)
        result = augmenter.augment(batch, _generator(1))
        assert isinstance(result, Batch), f"augment returns a {type(result).__name__}"
        for name in ("images", "masks"):
            before, after = getattr(batch, name), getattr(result, name)
            assert after.shape == before.shape, f"{name} have shape {tuple(after.shape)}"
            assert after.dtype == before.dtype, f"{name} have type {after.dtype}"
            assert after.device == before.device, f"{name} are on {after.device}"
            assert not after.requires_grad, f"{name} carry gradients: use torch.no_grad()"

    def test_indices_are_kept(self, fitted: Callable[[Shape], Augmenter], shape: Shape) -> None:
        """The rows that say which case is which stay as they are, in their order.

        The next augmenter of the arm looks up what it learned by them.

        How to fix: return `batch.replace(images=…, masks=…)`; do not shuffle a batch.
        """
        batch = batch_of(shape, 4)
        indices = fitted(shape).augment(batch, _generator(1)).indices
        assert same_bytes(indices, batch.indices), f"{batch.indices} became {indices}"

    def test_input_is_left_as_it_is(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """The batch that was given is not changed.

        Its tensors may be rows of the cohort in memory, used again in the next epoch.

        How to fix: no in-place operation on `batch.images` or `batch.masks`; clone() first.
        """
        batch = batch_of(shape, 3)
        images, masks = batch.images.clone(), batch.masks.clone()
        fitted(shape).augment(batch, _generator(1))
        assert same_bytes(batch.images, images), "the images were changed in place"
        assert same_bytes(batch.masks, masks), "the masks were changed in place"

    def test_same_seed_gives_same_bytes(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """Generators with the same seed give the same batch, to the bit.

        A trial that is run again has to be the same trial.

        How to fix: draw every random number from the generator that is handed in.
        """
        augmenter, batch = fitted(shape), batch_of(shape, 3)
        first, second = (augmenter.augment(batch, _generator(5)) for _ in range(2))
        assert _same(first, second), "the same seed gives other bytes"

    def test_other_seed_gives_other_bytes(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """Generators with different seeds give different batches.

        How to fix: use the generator; for an augmenter that is meant to change nothing set
        `changes_images = False` in the test class.
        """
        self._skip_if_unchanged()
        augmenter, batch = fitted(shape), batch_of(shape, 4)
        results = [augmenter.augment(batch, _generator(seed)).images for seed in range(4)]
        others = [other for other in results if not same_bytes(results[0], other)]
        assert others, "four seeds give the same bytes"

    def test_batches_in_a_row_differ(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """One generator gives another result at each call.

        Every epoch has to see new variants.

        How to fix: draw from the generator itself; do not seed another one from
        `generator.initial_seed()`, which never changes.
        """
        self._skip_if_unchanged()
        augmenter, batch, generator = fitted(shape), batch_of(shape, 4), _generator(5)
        results = [augmenter.augment(batch, generator).images for _ in range(4)]
        others = [other for other in results if not same_bytes(results[0], other)]
        assert others, "four calls in a row give the same bytes"

    def test_samples_in_a_batch_differ(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """Equal images in one batch are not all changed alike.

        With one draw for a whole batch, the variety shrinks by the batch size.

        How to fix: draw parameters of shape (B, …).
        """
        self._skip_if_unchanged()
        one = batch_of(shape, 1)
        batch = Batch(
            one.images.expand(8, *one.images.shape[1:]).clone(),
            one.masks.expand(8, *one.masks.shape[1:]).clone(),
            torch.zeros(8, dtype=torch.int64),
        )
        images = fitted(shape).augment(batch, _generator(5)).images
        # Rounding in a batch may differ from row to row, so equal bytes are not the question.
        spread = float((images - images[:1]).abs().max())
        assert spread > 1e-4, "eight equal images are changed alike"

    def test_masks_stay_binary(self, fitted: Callable[[Shape], Augmenter], shape: Shape) -> None:
        """Masks hold 0 and 1, and nothing between.

        How to fix: interpolate linearly, then `(masks >= 0.5).float()`.
        """
        augmenter = fitted(shape)
        for seed in range(3):
            masks = augmenter.augment(batch_of(shape, 4), _generator(seed)).masks
            assert ((masks == 0) | (masks == 1)).all(), "masks hold values between 0 and 1"

    def test_images_stay_finite(self, fitted: Callable[[Shape], Augmenter], shape: Shape) -> None:
        """Images hold no NaN and no infinity.

        One such pixel ends a training.

        How to fix: bound what is drawn, and guard divisions and powers.
        """
        augmenter = fitted(shape)
        for seed in range(3):
            images = augmenter.augment(batch_of(shape, 4), _generator(seed)).images
            assert images.isfinite().all(), "images hold infinities or NaN"

    def test_batch_of_one_works(self, fitted: Callable[[Shape], Augmenter], shape: Shape) -> None:
        """A batch of one image comes out as a batch of one.

        The smallest studies train on a single image.

        How to fix: do not squeeze() the batch axis, nor mix an image with others of its batch.
        """
        result = fitted(shape).augment(batch_of(shape, 1), _generator(1))
        assert result.images.shape == (1, 1, *shape)
        assert result.masks.shape == (1, 1, *shape)

    def test_only_the_generator_decides(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """With the same generator, other global seeds do not change the batch.

        How to fix: pass `generator=` to every torch.rand, randn, randint and randperm.
        """
        augmenter, batch, results = fitted(shape), batch_of(shape, 3), []
        for seed in (1, 2):
            with seeded_globals(seed):
                results.append(augmenter.augment(batch, _generator(5)))
        assert _same(*results), "global seeds change the result"

    def test_global_randomness_is_left_alone(self, make: Make, shape: Shape) -> None:
        """Fitting and augmenting use no global generator and change no global setting.

        How to fix: draw from `generator` in augment(), from `view.seed` in fit() (with
        `medscale.seeding.seeded_torch` around code that takes no generator).
        """
        augmenter, view, batch = make(), pool_of(shape, self.pool_size), batch_of(shape, 3)
        with global_state_untouched():
            augmenter.fit(view)
            augmenter.augment(batch, _generator(1))

    def test_fit_leaves_the_pool_alone(self, make: Make, shape: Shape) -> None:
        """Fitting does not change the pool's tensors.

        The next augmenter of the arm learns from the same view. Images are handed out as copies.

        How to fix: no in-place operation on what the view holds.
        """
        view = pool_of(shape, self.pool_size)
        kept = [tensor.clone() for tensor in (view.masks, view.positions, view.indices)]
        make().fit(view)
        for tensor, before in zip((view.masks, view.positions, view.indices), kept, strict=True):
            assert same_bytes(tensor, before), "the pool was changed in place"

    def test_fit_is_repeatable(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape, tmp_path: Path
    ) -> None:
        """Two instances fitted to one pool from scratch augment alike, to the bit.

        What is learned is cached by its inputs, so it has to follow from them.

        How to fix: seed whatever fit() draws with `view.seed`.
        """
        batch = batch_of(shape, 3)
        first = fitted(shape).augment(batch, _generator(5))
        cache = tmp_path / "cache"
        if cache.exists():
            cache.rename(tmp_path / "set aside")
        assert _same(first, fitted(shape).augment(batch, _generator(5))), "another fit"

    def test_cached_fit_is_the_same(
        self, fitted: Callable[[Shape], Augmenter], shape: Shape
    ) -> None:
        """An instance that finds its fit in the cache augments like the one that made it.

        How to fix: store in the cache exactly what is used (no rounding to half precision), and
        use it through the same code afterwards.
        """
        batch = batch_of(shape, 3)
        first, second = (fitted(shape).augment(batch, _generator(5)) for _ in range(2))
        assert _same(first, second), "the fit read from the cache is another one"

    def test_pool_of_one_works_or_is_one_sentence(self, make: Make, shape: Shape) -> None:
        """A pool of one image is either fitted and augmented, or refused by a MedscaleError.

        How to fix: raise ConfigError or DataError that says how many images are needed.
        """
        augmenter = make()
        try:
            augmenter.fit(pool_of(shape, 1))
        except MedscaleError:
            return
        assert augmenter.augment(batch_of(shape, 1), _generator(1)).images.isfinite().all()

    def test_displacements_have_their_form(
        self, deforming: Callable[[Shape], Any], shape: Shape
    ) -> None:
        """Displacements are (B, D, *G) float32, finite, in voxels, shorter than the image.

        How to fix: put the D components on axis 1 in the order of the image's axes; lengths in
        voxels of the image even on a coarse grid, never in units of [-1, 1] or of the grid.
        """
        displacement = deforming(shape).displacements(batch_of(shape, 3), _generator(1))
        assert displacement.dtype == torch.float32
        assert displacement.ndim == 2 + len(shape)
        assert tuple(displacement.shape[:2]) == (3, len(shape))
        grid = tuple(displacement.shape[2:])
        assert all(coarse <= fine for coarse, fine in zip(grid, shape, strict=True)), grid
        assert displacement.isfinite().all(), "infinite or NaN displacements"
        assert float(displacement.abs().max()) < max(shape), "longer than the image"

    def test_displacements_are_repeatable(
        self, deforming: Callable[[Shape], Any], shape: Shape
    ) -> None:
        """The same seed gives the same displacements, to the bit; another seed gives others.

        How to fix: draw them from the generator that is handed in, and from nothing else.
        """
        augmenter, batch = deforming(shape), batch_of(shape, 3)
        first, second, other = (
            augmenter.displacements(batch, _generator(seed)) for seed in (5, 5, 6)
        )
        assert same_bytes(first, second), "the same seed gives other displacements"
        if self.changes_images:
            assert not same_bytes(first, other), "another seed gives the same displacements"

    def test_frame_is_image_or_output(
        self, deforming: Callable[[Shape], Any], shape: Shape
    ) -> None:
        """Who says whose frame the displacements are in says "image" or "output".

        How to fix: set `frame = "output"` for displacements that are the same whatever the image;
        leave it out otherwise.
        """
        augmenter = deforming(shape)
        if not isinstance(augmenter, SupportsFrame):
            pytest.skip("capability absent: SupportsFrame")
        assert augmenter.frame in ("image", "output"), f"frame is {augmenter.frame!r}"

    def test_output_frame_knows_no_image(
        self, deforming: Callable[[Shape], Any], shape: Shape
    ) -> None:
        """Displacements in the output's frame are the same for other images and other cases.

        The baseline's rotations and flips come between the image and the output, so what fits the
        image is out of place there.

        How to fix: leave `frame` out, so that the displacements are in the image's frame.
        """
        augmenter = deforming(shape)
        if getattr(augmenter, "frame", "image") != "output":
            pytest.skip("capability absent: displacements in the output's frame")
        batch = batch_of(shape, 3)
        other = Batch(1 - batch.images, 1 - batch.masks, batch.indices.flip(0))
        first, second = (augmenter.displacements(b, _generator(5)) for b in (batch, other))
        assert same_bytes(first, second), "other images are deformed otherwise"

    def test_spline_is_displacements(self, deforming: Callable[[Shape], Any], shape: Shape) -> None:
        """spline() stands for what displacements() gives with the same generator, in the output.

        How to fix: draw in one method, and let the other call it; set `frame = "output"`.
        """
        augmenter, batch = deforming(shape), batch_of(shape, 3)
        if not isinstance(augmenter, SupportsSpline):
            pytest.skip("capability absent: SupportsSpline")
        assert getattr(augmenter, "frame", "image") == "output", "a spline in the image's frame"
        field = augmenter.displacements(batch, _generator(5))
        spline = augmenter.spline(batch, _generator(5))
        if spline is None:
            assert not field.any(), "no spline, but displacements"
            return
        dense = spline.dense()
        assert tuple(dense.shape[2:]) == shape, "the spline has another shape than the image"
        torch.testing.assert_close(dense, field.expand_as(dense), atol=1e-4, rtol=1e-4)

    def test_augment_warps_by_displacements(
        self, deforming: Callable[[Shape], Any], shape: Shape
    ) -> None:
        """augment() gives what warping image and mask by displacements() gives.

        Studies use the displacements, composed with the baseline; previews and other tools use
        augment(). Both have to show the same deformation, and image and mask the same one.

        How to fix: implement augment() with displacements() and `medscale.fields.warp.warp`
        (u in voxels, array axis order, pull-back; zeros outside; masks at threshold ½).
        """
        augmenter, batch = deforming(shape), batch_of(shape, 3)
        result = augmenter.augment(batch, _generator(5))
        coarse = augmenter.displacements(batch, _generator(5))
        field = at_shape(coarse, shape)
        expected = warp(batch.images, field)
        off = float((result.images - expected).abs().mean())
        moved = float((batch.images - expected).abs().mean())
        # Interpolating a coarse field in another way is allowed; another field is not.
        assert off <= 1e-5 + 0.2 * moved * (coarse.shape[2:] != field.shape[2:]), (
            f"images differ by {off:.2g} on average, where the warp moves them by {moved:.2g}"
        )
        masks = (warp(batch.masks, field) >= 0.5).float()
        share = float((result.masks != masks).float().mean())
        assert share <= 0.01, f"{share:.1%} of the mask's voxels differ from the warp"

    def _skip_if_unchanged(self) -> None:
        if not self.changes_images:
            pytest.skip("capability absent: the augmenter changes no images")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _same(first: Batch, second: Batch) -> bool:
    return same_bytes(first.images, second.images) and same_bytes(first.masks, second.masks)

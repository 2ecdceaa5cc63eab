"""The contract of registrars, as tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from medscale.fields.warp import warp
from medscale.protocols import Registrar
from medscale.testing.base import ShapedTests
from medscale.testing.images import blobs
from medscale.testing.state import global_state_untouched, same_bytes

Shape = tuple[int, ...]
Make = Callable[[], Any]


class RegistrarTests(ShapedTests):
    """Subclass with `spec`, options under which registering is quick, and the `shapes` to try.

    The fixed images are smooth blobs, the moving ones the same blobs shifted.

    Attributes:
        shift: How far, in voxels along one axis.
        remaining: The share of the squared difference that may remain after registration.
        tolerance: How far displacements that should be equal may differ, in voxels on average.
    """

    kind: ClassVar[str] = "registrar"
    shift: ClassVar[float] = 2.0
    remaining: ClassVar[float] = 0.5
    tolerance: ClassVar[float] = 0.05

    def test_codes_are_vectors_of_a_batch(self, plugin: Registrar, shape: Shape) -> None:
        """Codes are finite floating-point numbers, one set for each pair, without gradients.

        They are averaged, stored and read by other processes.

        How to fix: return a tensor (B, …) of the numbers themselves, after detach().
        """
        codes = plugin.register(moving=self._moving(shape), fixed=_fixed(shape))
        assert codes.shape[0] == len(_fixed(shape)), f"codes have shape {tuple(codes.shape)}"
        assert codes.is_floating_point(), f"codes have type {codes.dtype}"
        assert codes.isfinite().all(), "infinite or NaN codes"
        assert not codes.requires_grad, "codes carry gradients"

    def test_displacements_have_their_form(self, plugin: Registrar, shape: Shape) -> None:
        """Displacements are (B, D, *shape), float32 and finite.

        How to fix: put the D components on axis 1, in the order of the image's axes.
        """
        displacement = self._register(plugin, shape)
        assert tuple(displacement.shape) == (len(_fixed(shape)), len(shape), *shape)
        assert displacement.dtype == torch.float32
        assert displacement.isfinite().all(), "infinite or NaN displacements"

    def test_displacements_scale_with_the_shape(self, plugin: Registrar, shape: Shape) -> None:
        """At twice the shape the same codes give displacements of twice as many voxels.

        A deformation is the same wherever it is looked at; its unit is the voxel of `shape`.

        How to fix: multiply by shape / (shape of the grid) along each axis.
        """
        codes = plugin.register(moving=self._moving(shape), fixed=_fixed(shape))
        double = tuple(2 * n for n in shape)
        once = _length(plugin.displacement(codes=codes, shape=shape))
        twice = _length(plugin.displacement(codes=codes, shape=double))
        assert 1.7 < twice / once < 2.3, f"{once:.3g} voxels become {twice:.3g}"

    def test_equal_images_stay(self, plugin: Registrar, shape: Shape) -> None:
        """An image registered to itself moves by less than a tenth of a voxel.

        How to fix: start from the identity, and give the regulariser some weight.
        """
        codes = plugin.register(moving=_fixed(shape), fixed=_fixed(shape))
        moved = _length(plugin.displacement(codes=codes, shape=shape))
        assert moved < 0.1, f"an image registered to itself moves by {moved:.2g} voxels"

    def test_registration_pulls_back_towards_fixed(self, plugin: Registrar, shape: Shape) -> None:
        """moving(x + u(x)) is clearly closer to the fixed image than moving(x) is.

        The sign, the axis order and the unit of u are what goes wrong most often.

        How to fix: u lives on the fixed image's grid, points to where in the moving image to
        look, and counts voxels in the order of the array's axes.
        """
        moving, fixed = self._moving(shape), _fixed(shape)
        u = self._register(plugin, shape)
        before, after = _difference(moving, fixed), _difference(warp(moving, u), fixed)
        hints = {
            "the sign is wrong": -u,
            "the axes are in the wrong order": u.flip(1),
        }
        hint = [
            what
            for what, other in hints.items()
            if _difference(warp(moving, other), fixed) < self.remaining * before
        ]
        assert after < self.remaining * before, (
            f"of the squared difference {after / before:.0%} remain, at most "
            f"{self.remaining:.0%} are allowed {hint}"
        )

    def test_batched_equals_one_by_one(self, plugin: Registrar, shape: Shape) -> None:
        """A pair's result does not depend on the other pairs of its batch.

        How to fix: sum the loss over pairs, stop each pair by itself, normalise within an image.
        """
        moving, fixed = self._moving(shape), _fixed(shape)
        together = self._register(plugin, shape)
        for i in range(len(fixed)):
            codes = plugin.register(moving=moving[i : i + 1], fixed=fixed[i : i + 1])
            alone = plugin.displacement(codes=codes, shape=shape)
            self._assert_close(alone, together[i : i + 1], f"pair {i} alone")

    def test_zero_code_is_the_identity(self, plugin: Registrar, shape: Shape) -> None:
        """The zero of the vector space moves nothing.

        How to fix: codes describe the deformation itself, without an offset or a reference.
        """
        codes = plugin.register(moving=self._moving(shape), fixed=_fixed(shape))
        zero = plugin.displacement(codes=torch.zeros_like(codes), shape=shape)
        assert float(zero.abs().max()) < 1e-3, "a code of zeros moves the image"

    def test_codes_can_be_mixed(self, plugin: Registrar, shape: Shape) -> None:
        """Halfway between two codes of one moving image lies a deformation between theirs.

        Generative augmentation samples such convex combinations.

        How to fix: return the initial momentum or the stationary velocity; an index, a quantised
        or a normalised quantity cannot be averaged.
        """
        moving = _fixed(shape)
        first, second = (
            plugin.register(moving=moving, fixed=_shifted(moving, self.shift, axis=axis))
            for axis in (0, len(shape) - 1)
        )
        one, other, middle = (
            plugin.displacement(codes=codes, shape=shape)
            for codes in (first, second, 0.5 * first + 0.5 * second)
        )
        off = _length(middle - 0.5 * (one + other))
        scale = 0.5 * (_length(one) + _length(other))
        assert off < 0.3 * scale + self.tolerance, (
            f"the middle code is {off:.2g} voxels from the mean of two displacements of {scale:.2g}"
        )

    def test_codes_alone_decide(self, make: Make, shape: Shape) -> None:
        """A fresh instance makes the same displacements of codes that went through a file.

        The store is filled by one process and read by others.

        How to fix: keep in the instance nothing that displacement() needs; it has the codes, the
        options and the shape.
        """
        first, second = make(), make()
        codes = first.register(moving=self._moving(shape), fixed=_fixed(shape))
        stored = torch.from_numpy(np.array(codes.cpu().numpy(), copy=True))
        one = first.displacement(codes=codes, shape=shape)
        other = second.displacement(codes=stored, shape=shape)
        assert same_bytes(one, other), "another instance gives other displacements"

    def test_registration_is_repeatable(self, make: Make, shape: Shape) -> None:
        """The same images give the same codes, to the bit, in one instance and in another.

        Stores are named by what went in.

        How to fix: start every registration afresh, and draw nothing.
        """
        moving, fixed = self._moving(shape), _fixed(shape)
        plugin = make()
        codes = plugin.register(moving=moving, fixed=fixed)
        assert same_bytes(codes, plugin.register(moving=moving, fixed=fixed)), "the second time"
        assert same_bytes(codes, make().register(moving=moving, fixed=fixed)), "another instance"

    def test_input_is_left_as_it_is(self, plugin: Registrar, shape: Shape) -> None:
        """Registering changes neither image; displacing does not change the codes.

        How to fix: no in-place operation on what was handed in; clone() first.
        """
        moving, fixed = self._moving(shape), _fixed(shape)
        kept = moving.clone(), fixed.clone()
        codes = plugin.register(moving=moving, fixed=fixed)
        assert same_bytes(moving, kept[0]), "the moving images were changed in place"
        assert same_bytes(fixed, kept[1]), "the fixed images were changed in place"
        before = codes.clone()
        plugin.displacement(codes=codes, shape=shape)
        assert same_bytes(codes, before), "the codes were changed in place"

    def test_global_randomness_is_left_alone(self, make: Make, shape: Shape) -> None:
        """Registering uses no global generator and changes no global setting.

        How to fix: sample image points with a generator of a fixed seed; leave the number of
        threads and the gradient mode as they were.
        """
        with global_state_untouched():
            self._register(make(), shape)

    def _moving(self, shape: Shape) -> Tensor:
        return _shifted(_fixed(shape), self.shift, axis=0)

    def _register(self, plugin: Registrar, shape: Shape) -> Tensor:
        codes = plugin.register(moving=self._moving(shape), fixed=_fixed(shape))
        return plugin.displacement(codes=codes, shape=shape)

    def _assert_close(self, first: Tensor, second: Tensor, what: str) -> None:
        off = _length(first - second)
        assert off < self.tolerance, f"{what}: displacements differ by {off:.2g} voxels on average"


def _fixed(shape: Shape) -> Tensor:
    return blobs(shape, 3)[0]  # Not 2: a batch should not be taken for the axes.


def _shifted(image: Tensor, voxels: float, *, axis: int) -> Tensor:
    """Move the content of (B, C, *S) towards the end of an axis."""
    shape = image.shape[2:]
    displacement = torch.zeros(len(image), len(shape), *shape)
    displacement[:, axis] = -voxels
    return warp(image, displacement, padding="border")


def _length(displacement: Tensor) -> float:
    return float(displacement.norm(dim=1).mean())


def _difference(first: Tensor, second: Tensor) -> float:
    """Return the mean squared difference, away from the border."""
    off = (first - second).square()
    for axis in range(2, off.ndim):
        margin = off.shape[axis] // 8
        off = off.narrow(axis, margin, off.shape[axis] - 2 * margin)
    return float(off.mean())

"""A good registrar, and one bad one for each promise that a registrar can break."""

from __future__ import annotations

import torch
from tests.contracts.breaking import breaks, good
from torch import Tensor

from medscale.config import Options
from medscale.fields.warp import warp
from medscale.protocols import PluginContext
from medscale.testing import RegistrarTests


@good(RegistrarTests, shapes=((32, 24), (16, 12, 16)))
class Translation:
    """Finds one shift per pair by Gauss-Newton; a code is the shift as a share of the image."""

    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        shape = tuple(moving.shape[2:])
        codes = moving.new_zeros(len(moving), len(shape))
        for _ in range(20):
            warped = warp(moving, self.displacement(codes=codes, shape=shape), padding="border")
            axes = tuple(range(2, moving.ndim))
            slopes = torch.stack(torch.gradient(warped, dim=axes), 2).flatten(3).sum(1)
            slopes = slopes * torch.tensor(shape).view(-1, 1)
            off = (fixed - warped).flatten(2).sum(1)
            normal = slopes @ slopes.mT + 1e-3 * torch.eye(len(shape))
            codes = codes + torch.linalg.solve(normal, (slopes @ off[..., None])[..., 0])
        return codes

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        shift = codes * torch.tensor(shape).to(codes)
        return shift.view(*shift.shape, *[1] * len(shape)).expand(*shift.shape, *shape).clone()


@breaks(RegistrarTests, "test_fulfils_its_protocol")
class NoDisplacement:
    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return moving


@breaks(RegistrarTests, "test_codes_are_vectors_of_a_batch")
class IntegerCodes(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return (1000 * super().register(moving=moving, fixed=fixed)).long()


@breaks(RegistrarTests, "test_codes_are_vectors_of_a_batch")
class OneCodeForAll(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return super().register(moving=moving, fixed=fixed).mean(0)


@breaks(RegistrarTests, "test_displacements_have_their_form")
class ComponentsLast(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return _translation().register(moving=moving, fixed=fixed)

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return super().displacement(codes=codes, shape=shape).movedim(1, -1)


@breaks(RegistrarTests, "test_displacements_have_their_form")
class DoublePrecision(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return _translation().register(moving=moving, fixed=fixed)

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return super().displacement(codes=codes, shape=shape).double()


@breaks(RegistrarTests, "test_displacements_scale_with_the_shape")
class VoxelsOfItsOwn(Translation):
    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        one = super().displacement(codes=32 * codes, shape=(1,) * len(shape))
        return one.expand(*one.shape[:2], *shape).clone()


@breaks(RegistrarTests, "test_equal_images_stay")
class NeverRests(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return super().register(moving=moving, fixed=fixed) + 0.01


@breaks(RegistrarTests, "test_zero_code_is_the_identity")
class HasAnOffset(Translation):
    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return super().displacement(codes=codes, shape=shape) + 0.5


@breaks(RegistrarTests, "test_registration_pulls_back_towards_fixed")
class PushesForward(Translation):
    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return -super().displacement(codes=codes, shape=shape)

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return _translation().register(moving=moving, fixed=fixed)


@breaks(RegistrarTests, "test_registration_pulls_back_towards_fixed")
class DoesNothing(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return moving.new_zeros(len(moving), moving.ndim - 2)


@breaks(RegistrarTests, "test_batched_equals_one_by_one")
class AveragesTheBatch(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        codes = super().register(moving=moving, fixed=fixed)
        return codes + 0.01 * torch.arange(len(codes)).view(-1, 1)


@breaks(RegistrarTests, "test_codes_can_be_mixed")
class LogarithmicCodes(Translation):
    """Keeps lengths on a scale on which the middle is not the mean."""

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return super().displacement(codes=codes.sign() * codes.square() * 10, shape=shape)

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        codes = _translation().register(moving=moving, fixed=fixed)
        return codes.sign() * (codes.abs() / 10).sqrt()


@breaks(RegistrarTests, "test_codes_alone_decide")
class Remembers(Translation):
    scale = 0.0

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        self.scale = 1.0
        codes = _translation().register(moving=moving, fixed=fixed)
        self.scale = float(codes.abs().max())
        return codes / self.scale

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return super().displacement(codes=codes * self.scale, shape=shape)


@breaks(RegistrarTests, "test_registration_is_repeatable")
class StartsWhereItStopped(Translation):
    calls = 0

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        self.calls += 1
        return super().register(moving=moving, fixed=fixed) + 1e-4 * self.calls


@breaks(RegistrarTests, "test_input_is_left_as_it_is")
class NormalisesInPlace(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return super().register(moving=moving.div_(2), fixed=fixed.div_(2))


@breaks(RegistrarTests, "test_global_randomness_is_left_alone")
class StartsAnywhere(Translation):
    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return super().register(moving=moving, fixed=fixed) + 1e-6 * torch.randn(1)


def _translation() -> Translation:
    return Translation(Options(), PluginContext())

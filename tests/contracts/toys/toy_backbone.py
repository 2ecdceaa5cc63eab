"""A good family of networks, and one bad one for each promise that it can break."""

from __future__ import annotations

import random
from typing import Any

import torch
from tests.contracts.breaking import breaks, good
from torch import Tensor, nn

from medscale.config import Options
from medscale.errors import ConfigError
from medscale.protocols import PluginContext
from medscale.testing import BackboneTests


class Net(nn.Module):
    """Two convolutions."""

    def __init__(self, in_channels: int, out_channels: int, dims: int) -> None:
        super().__init__()
        convolution: Any = nn.Conv2d if dims == 2 else nn.Conv3d
        self.first = convolution(in_channels, 4, 3, padding=1)
        self.last = convolution(4, out_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(images)))  # type: ignore[no-any-return]


@good(BackboneTests, shapes=((16, 16), (8, 8, 8)))
class Toy:
    network: type[Net] = Net

    def __init__(self, config: Options, context: PluginContext) -> None: ...

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        if len(spatial_shape) not in (2, 3):
            raise ConfigError(f"shape {spatial_shape}: expected 2 or 3 axes")
        return self.network(in_channels, out_channels, len(spatial_shape))


class Sigmoid(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).sigmoid()


class Unused(Net):
    def __init__(self, in_channels: int, out_channels: int, dims: int) -> None:
        super().__init__(in_channels, out_channels, dims)
        self.unused = nn.Linear(2, 2)


class Detached(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(images)).detach())  # type: ignore[no-any-return]


class AlwaysDrops(Net):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(images), 0.5, training=True)


class NormalisesTheBatch(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean())


class Hides(Net):
    """Keeps a statistic where state_dict does not see it."""

    mean = 0.0

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.mean = float(images.mean())
        return super().forward(images - self.mean)


class InPlace(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sub_(0.5))


class GlobalBatchNorm(Net):
    """Pools to one value per channel and normalises over the batch."""

    def __init__(self, in_channels: int, out_channels: int, dims: int) -> None:
        super().__init__(in_channels, out_channels, dims)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(images)
        context = self.norm(features.flatten(2).mean(-1))
        return self.last(features * context.view(*context.shape, *[1] * (images.ndim - 2)))  # type: ignore[no-any-return]


class Halves(Net):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(super().forward(images), 2)


class MultiplesOfEight(Net):
    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] % 8:
            raise RuntimeError("sizes of tensors must match")
        return super().forward(images)


@breaks(BackboneTests, "test_fulfils_its_protocol")
class NoBuild:
    def __init__(self, config: Options, context: PluginContext) -> None: ...


@breaks(BackboneTests, "test_logits_have_the_images_shape")
class ReturnsHalfSize(Toy):
    network = Halves


@breaks(BackboneTests, "test_logits_have_the_images_shape")
class OneClassOnly(Toy):
    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        return Net(in_channels, 1, len(spatial_shape))


@breaks(BackboneTests, "test_output_is_logits")
class ReturnsProbabilities(Toy):
    network = Sigmoid


@breaks(BackboneTests, "test_gradient_reaches_every_parameter")
class HasUnusedLayer(Toy):
    network = Unused


@breaks(BackboneTests, "test_gradient_reaches_every_parameter")
class CutsTheGradient(Toy):
    network = Detached


@breaks(BackboneTests, "test_same_seed_gives_same_weights")
class DrawsFromPython(Toy):
    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        network = Net(in_channels, out_channels, len(spatial_shape))
        nn.init.constant_(network.last.bias, random.random())
        return network


@breaks(
    BackboneTests,
    "test_other_seed_gives_other_weights",
)
class SeedsTorch(Toy):
    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        torch.manual_seed(0)
        return Net(in_channels, out_channels, len(spatial_shape))


@breaks(BackboneTests, "test_networks_are_independent")
class BuildsOnce(Toy):
    built: nn.Module | None = None

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        self.built = self.built or Net(in_channels, out_channels, len(spatial_shape))
        return self.built


@breaks(BackboneTests, "test_batch_of_one_trains")
class NeedsABatch(Toy):
    network = GlobalBatchNorm


@breaks(BackboneTests, "test_evaluation_is_deterministic")
class DropsInEvaluation(Toy):
    network = AlwaysDrops


@breaks(BackboneTests, "test_cases_do_not_affect_each_other")
class MixesCases(Toy):
    network = NormalisesTheBatch


@breaks(BackboneTests, "test_state_dict_holds_everything")
class HidesAStatistic(Toy):
    network = Hides


@breaks(BackboneTests, "test_input_is_left_as_it_is")
class ChangesItsInput(Toy):
    network = InPlace


@breaks(BackboneTests, "test_global_randomness_is_left_alone")
class SetsThreads(Toy):
    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return Net(in_channels, out_channels, len(spatial_shape))


@breaks(BackboneTests, "test_global_randomness_is_left_alone")
class DrawsInEvaluation(Toy):
    network = AlwaysDrops


@breaks(BackboneTests, "test_impossible_shape_is_one_sentence")
class FailsInForward(Toy):
    network = MultiplesOfEight

"""The contract of network families, as tests."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from medscale.errors import ConfigError
from medscale.protocols import Backbone
from medscale.seeding import seeded_torch
from medscale.testing.base import ShapedTests
from medscale.testing.state import global_state_untouched, same_bytes

Shape = tuple[int, ...]


class BackboneTests(ShapedTests):
    """Subclass with `spec`, small and quick `options`, and the `shapes` to try.

    Attributes:
        shapes: Add a 3-D shape for a family that builds 3-D networks.
    """

    kind: ClassVar[str] = "backbone"

    @pytest.mark.parametrize("out_channels", [1, 2])
    @pytest.mark.parametrize("in_channels", [1, 3])
    def test_logits_have_the_images_shape(
        self, plugin: Backbone, shape: Shape, in_channels: int, out_channels: int
    ) -> None:
        """(B, in, *S) gives finite float32 logits (B, out, *S), for grey and colour images.

        How to fix: pass both channel numbers on to the first and last layer, and upsample to the
        input's size at the end.
        """
        network = _build(plugin, shape, in_channels=in_channels, out_channels=out_channels)
        with torch.no_grad():
            logits = network(_images(shape, count=2, channels=in_channels))
        assert isinstance(logits, Tensor), f"the network returns a {type(logits).__name__}"
        assert tuple(logits.shape) == (2, out_channels, *shape)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all(), "infinite or NaN logits"

    def test_output_is_logits(self, plugin: Backbone, shape: Shape) -> None:
        """The output is not squeezed into [0, 1] or cut off at zero.

        The loss applies the sigmoid; applied twice, a network can hardly say "background".

        How to fix: end with a convolution, without sigmoid, softmax or ReLU.
        """
        images = 4 * _images(shape, count=2)
        with torch.no_grad():
            lowest = [float(_build(plugin, shape, seed=seed)(images).min()) for seed in range(5)]
        assert min(lowest) < 0, "five networks in a row, and no logit is negative"

    def test_gradient_reaches_every_parameter(self, plugin: Backbone, shape: Shape) -> None:
        """After one backward pass every trainable parameter has a finite gradient.

        A parameter without one is never trained, yet counted and stored.

        How to fix: remove layers that forward() does not use, and detach() nothing.
        """
        network = _build(plugin, shape).train()
        network(_images(shape, count=2)).square().sum().backward()
        trained = {name: p.grad for name, p in network.named_parameters() if p.requires_grad}
        assert trained, "the network has nothing to train"
        without = [name for name, gradient in trained.items() if gradient is None]
        assert not without, f"no gradient reaches {without[:5]}"
        wild = [name for name, gradient in trained.items() if not gradient.isfinite().all()]  # type: ignore[union-attr]
        assert not wild, f"gradients that are not finite: {wild[:5]}"

    def test_same_seed_gives_same_weights(self, plugin: Backbone, shape: Shape) -> None:
        """Under the same torch seed two networks start equal, to the bit.

        Every arm of a study starts from the same network, so that arms differ in nothing else.

        How to fix: draw initial weights from torch alone, in a fixed order.
        """
        first, second = (_build(plugin, shape, seed=1).state_dict() for _ in range(2))
        assert list(first) == list(second)
        unequal = [name for name in first if not same_bytes(first[name], second[name])]
        assert not unequal, f"unequal: {unequal[:5]}"

    def test_other_seed_gives_other_weights(self, plugin: Backbone, shape: Shape) -> None:
        """Under another torch seed a network starts with other weights.

        Replicates that all start from one network understate the variance.

        How to fix: do not call torch.manual_seed while building.
        """
        first, second = (_build(plugin, shape, seed=seed).state_dict() for seed in (1, 2))
        other = [name for name in first if not same_bytes(first[name], second[name])]
        assert other, "two seeds give the same weights"

    def test_networks_are_independent(self, plugin: Backbone, shape: Shape) -> None:
        """Two built networks share no parameters or buffers.

        Training one would otherwise train the other.

        How to fix: construct every layer inside build(), and cache none.
        """
        first, second = (_build(plugin, shape) for _ in range(2))
        places = {tensor.data_ptr() for tensor in first.state_dict().values() if tensor.numel()}
        shared = [
            name
            for name, tensor in second.state_dict().items()
            if tensor.numel() and tensor.data_ptr() in places
        ]
        assert not shared, f"shared between two networks: {shared[:5]}"

    def test_batch_of_one_trains(self, plugin: Backbone, shape: Shape) -> None:
        """In training mode a batch of one image works and gives finite gradients.

        The smallest studies train on a single image.

        How to fix: use instance or group normalisation; batch normalisation fails or is constant
        where one value per channel is left.
        """
        network = _build(plugin, shape).train()
        logits = network(_images(shape, count=1))
        logits.mean().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients, "no gradient in training mode"
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert float(logits.detach().std()) > 0, "the logits are constant"

    def test_evaluation_is_deterministic(self, plugin: Backbone, shape: Shape) -> None:
        """In evaluation mode the same images give the same bytes, twice.

        How to fix: let dropout and stochastic depth respect `self.training`.
        """
        network, images = _build(plugin, shape).eval(), _images(shape, count=2)
        with torch.no_grad():
            assert same_bytes(network(images), network(images)), "the second pass differs"

    def test_cases_do_not_affect_each_other(self, plugin: Backbone, shape: Shape) -> None:
        """In evaluation mode an image's logits do not depend on its neighbours in the batch.

        Otherwise a test score would depend on the batch size.

        How to fix: normalise within an image, or use running statistics in evaluation mode.
        """
        network, images = _build(plugin, shape).eval(), _images(shape, count=3)
        with torch.no_grad():
            together = network(images)
            apart = torch.cat([network(images[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(together, apart, rtol=1e-3, atol=1e-4)

    def test_state_dict_holds_everything(self, plugin: Backbone, shape: Shape) -> None:
        """A network with another's state_dict gives the other's logits.

        The best checkpoint is kept and restored this way.

        How to fix: register layers as attributes or in nn.ModuleList, and tensors with
        register_buffer.
        """
        images = _images(shape, count=2)
        first, second = (_build(plugin, shape, seed=seed).train() for seed in (1, 2))
        with torch.no_grad():
            first(images)  # Moves running statistics, where there are any.
            second.load_state_dict(first.state_dict())
            torch.testing.assert_close(first.eval()(images), second.eval()(images))

    def test_input_is_left_as_it_is(self, plugin: Backbone, shape: Shape) -> None:
        """The forward pass does not change the images.

        They are rows of the cohort in memory, used again in the next epoch.

        How to fix: no in-place operation on the network's input.
        """
        network, images = _build(plugin, shape), _images(shape, count=2)
        before = images.clone()
        with torch.no_grad():
            network(images)
        assert same_bytes(images, before), "the images were changed in place"

    def test_global_randomness_is_left_alone(self, plugin: Backbone, shape: Shape) -> None:
        """Building draws from torch's global generator at most; evaluating draws nothing.

        Core seeds torch around build(); nothing seeds Python's or numpy's generator.

        How to fix: initialise with torch.nn.init, set no default dtype or number of threads.
        """
        with global_state_untouched(torch_random=False):
            network = plugin.build(in_channels=1, out_channels=1, spatial_shape=shape)
        with torch.no_grad(), global_state_untouched():
            network.eval()(_images(shape, count=1))

    @pytest.mark.parametrize("awkward", [(37, 29), (4, 4), (19, 17, 13)])
    def test_impossible_shape_is_one_sentence(self, plugin: Backbone, awkward: Shape) -> None:
        """A shape is either built and works, or build() raises ConfigError.

        Whoever studies images of 37×29 pixels learns at once, and not from the middle of a
        forward pass, which shapes are possible.

        How to fix: check `spatial_shape` first and raise ConfigError with the shapes that are
        possible, such as multiples of 32; or pad inside the network.
        """
        try:
            network = _build(plugin, awkward)
        except ConfigError:
            return
        with torch.no_grad():
            logits = network.eval()(_images(awkward, count=1))
        assert tuple(logits.shape) == (1, 1, *awkward)


def _build(
    plugin: Backbone, shape: Shape, *, seed: int = 0, in_channels: int = 1, out_channels: int = 1
) -> nn.Module:
    with seeded_torch(seed):
        return plugin.build(in_channels=in_channels, out_channels=out_channels, spatial_shape=shape)


def _images(shape: Shape, *, count: int, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.rand(count, channels, *shape, generator=generator)

"""Generator and critic in training: one step, and everything that the next step depends on.

Losses are the published ones (Chu et al. 2025, section 3.3), the adversarial one in the form that
is known to converge: logistic, with a penalty on the critic's gradient at registered deformations
(Mescheder et al. 2018, R1), at two rates of learning (Heusel et al. 2017). What augments is the
running mean of the generator's weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medscale.fields.jacobian import jacobian_determinant
from medscale_augmenter_gen.basis import Basis
from medscale_augmenter_gen.config import TrainingOptions
from medscale_augmenter_gen.lesson import Lesson
from medscale_augmenter_gen.networks import Critic, Generator, initialise, without_weights

_RATES = {"generator": 1e-4, "critic": 1e-3}
"""The generator begins near its goal. As fast as the critic, it would stray before it is told."""

_BETAS = (0.0, 0.99)
_R1 = 1.0
_MEAN = 0.995
"""Share of the running mean that stays at each step."""

_EACH = 4
"""Deformations of one image in a step, which is encoded once for all of them."""

_CELLS = 64 * 32**2
"""Most cells of fields that are searched for folds in one step."""


class Adversaries:
    """A generator and a critic that learn from a lesson.

    Args:
        lesson: What is trained on.
        basis: In which deformations are generated.
        options: Of the training.
        seed: Of initial weights, and of all that is drawn.
    """

    def __init__(self, lesson: Lesson, basis: Basis, options: TrainingOptions, seed: int) -> None:
        self._lesson, self._basis, self._options = lesson, basis, options
        self._random = torch.Generator().manual_seed(seed)
        self._coefficients = basis.coefficients(lesson.points)
        self._counts = torch.bincount(lesson.owners).cpu()
        self._firsts = self._counts.cumsum(0) - self._counts
        self._may_fold = lesson.codes is None
        self._form = _roughness(basis)
        self._form /= self._roughness_of(self._coefficients)
        form, components = lesson.images.shape[1:], len(basis.vectors)
        self.generator = without_weights(
            lambda: Generator(form, components=components), lesson.images.device
        )
        self.generator.bound(basis.scales, basis.longest)
        initialise(self.generator, self._random)
        # It begins with the noise.
        nn.init.zeros_(self.generator.last.weight)
        self.mean = copy.deepcopy(self.generator)
        self.critic = without_weights(
            lambda: Critic(form, components=components), lesson.images.device
        )
        initialise(self.critic, self._random)
        self._optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), betas=_BETAS),
            "critic": torch.optim.Adam(self.critic.parameters(), betas=_BETAS),
        }

    def step(self, iteration: int) -> dict[str, float]:
        """Train the critic once, then the generator once; return the losses.

        Learning rates fall linearly to zero, as in pix2pix: the running mean of weights that
        still go to and fro would deform less than any of them.

        Args:
            iteration: Number of the step, from 0.
        """
        for name, optimiser in self._optimisers.items():
            rest = 1 - iteration / self._options.iterations
            optimiser.param_groups[0]["lr"] = _RATES[name] * rest
        losses = self._train_critic() | self._train_generator()
        # The first steps are few to take a mean of.
        share = 1 - min(_MEAN, (1 + iteration) / (10 + iteration))
        with torch.no_grad():
            for mean, new in zip(self.mean.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(new, share)
        return losses

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on, by name."""
        state = {"random": self._random.get_state()}
        for name, network in self._networks().items():
            state |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimiser in self._optimisers.items():
            for number, moments in optimiser.state_dict()["state"].items():
                state |= {f"adam.{name}.{number}.{key}": value for key, value in moments.items()}
        return state

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state."""
        self._random.set_state(state["random"])
        for name, network in self._networks().items():
            network.load_state_dict(_under(f"{name}.", state))
        for name, optimiser in self._optimisers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(f"adam.{name}.", state).items():
                number, kind = key.split(".")
                moments.setdefault(int(number), {})[kind] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "mean": self.mean, "critic": self.critic}

    def _train_critic(self) -> dict[str, float]:
        images, real = self._draw()
        with torch.no_grad():
            fake = self._generate(_for_each(self.generator.encoder(images)))
        features = _for_each(self.critic.encoder(images))
        real = real.requires_grad_()
        of_real, of_fake = self.critic(features, real), self.critic(features, fake)
        (slope,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
        penalty = slope.square().sum(1).mean()
        loss = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
        self._descend("critic", loss + _R1 / 2 * penalty)
        return {"critic": loss.item(), "gradient": penalty.item()}

    def _train_generator(self) -> dict[str, float]:
        options = self._options
        images, _ = self._draw()
        features = _for_each(self.generator.encoder(images))
        fake = self._generate(features)
        adversarial = F.softplus(-self.critic(_for_each(self.critic.encoder(images)), fake)).mean()
        smoothness = self._roughness_of(fake)
        folding = self._folding(fake)
        self._descend(
            "generator",
            adversarial + options.smoothness * smoothness + options.folding * folding,
        )
        return {
            "adversarial": adversarial.item(),
            "smoothness": smoothness.item(),
            "folding": folding.item(),
        }

    def _generate(self, features: Tensor) -> Tensor:
        noise = torch.randn(len(features), self._coefficients.shape[1], generator=self._random)
        coefficients: Tensor = self.generator(features, noise.to(features))
        return coefficients

    def _roughness_of(self, coefficients: Tensor) -> Tensor:
        """Return the mean roughness of deformations; 1 is that of the registered ones."""
        mean: Tensor = ((coefficients @ self._form) * coefficients).sum(1).mean()
        return mean

    def _folding(self, coefficients: Tensor) -> Tensor:
        """Return the mean of relu(-det ∇φ); a registrar's codes give maps that do not fold."""
        if not self._may_fold:
            return coefficients.new_zeros(())
        fields = self._basis.fields
        some = coefficients[: max(1, _CELLS // fields[0, 0].numel())]
        return F.relu(-jacobian_determinant(torch.tensordot(some, fields, dims=1))).mean()

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self._optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draw sources, and deformations of each: thumbnails, and coefficients in groups."""
        count = len(self._counts)
        sources = torch.randint(count, (self._options.batch_size // _EACH,), generator=self._random)
        lots = torch.rand(len(sources), _EACH, generator=self._random)
        rows = self._firsts[sources, None] + (lots * self._counts[sources, None]).long()
        rows = rows.flatten().to(self._coefficients.device)
        return self._lesson.images[sources.to(rows.device)], self._coefficients[rows]


def _roughness(basis: Basis) -> Tensor:
    """Return the matrix (K, K) whose quadratic form is the squared gradient of a deformation."""
    axes = tuple(range(2, basis.fields.ndim))
    flat = torch.stack(torch.gradient(basis.fields, dim=axes), dim=1).flatten(1)
    return flat @ flat.T


def _for_each(features: Tensor) -> Tensor:
    """Repeat the features of images for each of their deformations."""
    return features.repeat_interleave(_EACH, dim=0)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a state whose names begin so, without that beginning."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }

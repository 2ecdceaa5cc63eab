"""Random numbers of one picture: bounded, and in streams of their own by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medscale.seeding import numpy_generator
from medscale_dataset_phantom.shapes import Array

_BOUND = 2.0  # standard deviations; bounded draws let every structure stay in the picture
_SPLINE_SD = 0.48  # standard deviation of a 2-D cubic B-spline with unit random coefficients


@lru_cache(maxsize=64)
def spline_basis(size: int, cells: int) -> Array:
    """Return the (size, cells + 3) values of the uniform cubic B-splines at the pixel centres."""
    position = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(position.astype(np.int64), cells - 1)
    t = position - cell
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    basis = np.zeros((size, cells + 3))
    for offset, weight in enumerate(weights):
        basis[np.arange(size), cell + offset] = weight
    basis.setflags(write=False)
    return basis


@dataclass(frozen=True)
class Draws:
    """Random numbers from one stream.

    Attributes:
        generator: Where they come from.
        spread: Multiplies what `about` deviates from its mean.
    """

    generator: np.random.Generator
    spread: float = 1.0

    def about(self, mean: float, deviation: float) -> float:
        """Return a normal number, never further than two deviations from its mean."""
        step = float(np.clip(self.generator.standard_normal(), -_BOUND, _BOUND))
        return mean + self.spread * deviation * step

    def between(self, low: float, high: float) -> float:
        """Return a number that is equally likely anywhere in the range."""
        return float(self.generator.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return bool(self.generator.random() < probability)

    def field(self, size: int, cells: int) -> Array:
        """Return a smooth random field (size, size), about standard normal and bounded by 4.2.

        It is a cubic B-spline over `cells` by `cells` cells, so it is the same landscape at
        every size. A spline lies within the hull of its coefficients, hence the bound.
        """
        coefficients = self.generator.standard_normal((cells + 3, cells + 3))
        coefficients = np.clip(coefficients, -_BOUND, _BOUND) / _SPLINE_SD
        basis = spline_basis(size, cells)
        field: Array = basis @ coefficients @ basis.T
        return field


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """One picture to be made: whose, which of theirs, and how.

    Attributes:
        variant: The anatomy.
        subject: Number of the person, from 1.
        index: Number of the image of that person, from 0.
        size: Pixels of a side.
        seed: Seed of the population.
        variation: Multiplier of shape variation.
        noise: Multiplier of noise.
    """

    variant: str
    subject: int
    index: int
    size: int
    seed: int
    variation: float
    noise: float

    def person(self, name: str) -> Draws:
        """Return a stream that all images of the person share; shape varies by `variation`."""
        generator = numpy_generator(self.seed, "phantom", self.variant, self.subject, name)
        return Draws(generator, self.variation)

    def moment(self, name: str) -> Draws:
        """Return a stream of this image alone."""
        generator = numpy_generator(
            self.seed, "phantom", self.variant, self.subject, "image", self.index, name
        )
        return Draws(generator)

    @property
    def phase(self) -> float:
        """Where this image lies between the two extremes of a motion: 0, 1, ½, ¼, ¾, ….

        It follows from the index alone, so that asking for more images changes none.
        """
        if self.index < 2:
            return float(self.index)
        number, phase, step = self.index - 1, 0.0, 0.5
        while number:
            phase += step * (number % 2)
            number, step = number // 2, step / 2
        return phase

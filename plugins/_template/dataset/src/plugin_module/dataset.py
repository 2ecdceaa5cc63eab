"""Two discs on a noisy background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medscale.data.cases import Array, Case, Sample, Task
from medscale.protocols import PluginContext
from medscale.seeding import numpy_generator
from plugin_module.config import PluginOptions


class PluginClass:
    """Draws each case from its id; a real data set reads `context.data` instead."""

    def __init__(self, config: PluginOptions, context: PluginContext) -> None:
        self._config = config

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The label values that are foreground, by the name that `--task` takes."""
        return {
            "large": Task(labels=(1,), description="the large disc"),
            "small": Task(labels=(2,), description="the small disc"),
        }

    def cases(self) -> Sequence[Case]:
        """List all cases without drawing (reading) any.

        A data set of files sets `files` to what `load` reads, and `group` to a diagnosis or site.
        """
        last = self._config.slices - 1
        return [
            Case(id=f"p{number:03}-s{index}", subject=f"p{number:03}", position=index / last)
            for number in range(self._config.subjects)
            for index in range(self._config.slices)
        ]

    def load(self, case: Case) -> Sample:
        """Draw one case; a data set of files raises DataError with the path if one is damaged."""
        random = numpy_generator(0, "plugin_name", case.id)
        size = self._config.size
        label = np.zeros((size, size), np.uint8)
        for value, radius in ((1, 0.25), (2, 0.1)):
            label[_disc(size, random.uniform(0.35, 0.65, 2), radius)] = value
        brightness = np.array([0.2, 0.5, 0.8])[label]
        image = brightness + 0.1 * random.standard_normal((size, size))
        return Sample(image=image[None].astype(np.float32), label=label, spacing=(1.0, 1.0))


def _disc(size: int, centre: Array, radius: float) -> Array:
    """Return (size, size) whether a pixel lies in the disc; lengths are shares of the image."""
    place = (np.indices((size, size)) + 0.5) / size
    inside: Array = np.linalg.norm(place - centre[:, None, None], axis=0) < radius
    return inside

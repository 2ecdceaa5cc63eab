"""The phantom data set: cases by number, drawn when they are loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from medscale.data.cases import Case, Sample, Task
from medscale.errors import DataError
from medscale.protocols import PluginContext
from medscale_dataset_phantom import cardiac, fundus, thorax
from medscale_dataset_phantom.config import PhantomOptions, Variant
from medscale_dataset_phantom.draws import Exposure
from medscale_dataset_phantom.picture import Picture

_SMALLEST = 0.002
"""The least share of the picture that a structure may have: 8 pixels of 64 × 64."""

_CASE = re.compile(r"s(\d{4,})_i(\d+)")


@dataclass(frozen=True)
class _Anatomy:
    """One variant: its tasks, how wide its pictures are, and how to draw one."""

    tasks: Mapping[str, Task]
    field_of_view_mm: float
    render: Callable[[Exposure], Picture]


_ANATOMIES: Mapping[Variant, _Anatomy] = {
    "cardiac": _Anatomy(cardiac.TASKS, cardiac.FIELD_OF_VIEW_MM, cardiac.render),
    "thorax": _Anatomy(thorax.TASKS, thorax.FIELD_OF_VIEW_MM, thorax.render),
    "fundus": _Anatomy(fundus.TASKS, fundus.FIELD_OF_VIEW_MM, fundus.render),
}


class PhantomDataset:
    """Procedural two-dimensional anatomy.

    A case depends on seed, variant, subject number and image number alone: asking for more
    subjects or more images of each changes none that were there before.
    """

    def __init__(self, config: PhantomOptions, context: PluginContext) -> None:
        self._config = config
        self._anatomy = _ANATOMIES[config.variant]

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Binary tasks of the chosen variant."""
        return dict(self._anatomy.tasks)

    def cases(self) -> Sequence[Case]:
        """Return all cases, images of one subject next to each other."""
        return [
            Case(id=f"s{subject:04d}_i{index}", subject=f"s{subject:04d}")
            for subject in range(1, self._config.subjects + 1)
            for index in range(self._config.images_per_subject)
        ]

    def load(self, case: Case) -> Sample:
        """Draw one case.

        Returns:
            Image (1, size, size) float32 from 0 to 4095; label (size, size) uint8, or
            (2, size, size) booleans for the thorax; spacing in mm.

        Raises:
            DataError: If there is no such case.
        """
        config = self._config
        match = _CASE.fullmatch(case.id)
        subject, index = (int(number) for number in match.groups()) if match else (0, 0)
        if not (1 <= subject <= config.subjects and index < config.images_per_subject):
            raise DataError(
                f"phantom has no case {case.id!r}; with subjects={config.subjects} and "
                f"images_per_subject={config.images_per_subject} there are s0001_i0 to "
                f"s{config.subjects:04d}_i{config.images_per_subject - 1}"
            )
        picture = _render(
            self._anatomy,
            Exposure(
                variant=config.variant,
                subject=subject,
                index=index,
                size=config.size,
                seed=config.seed,
                variation=config.variation,
                noise=config.noise,
            ),
        )
        spacing = self._anatomy.field_of_view_mm / config.size
        return Sample(image=picture.image[None], label=picture.label, spacing=(spacing, spacing))


def _render(anatomy: _Anatomy, exposure: Exposure) -> Picture:
    """Draw a picture in which every structure can be seen.

    Where extreme variation has all but closed a structure or moved it out of the picture, the same
    person is drawn again closer to the average, whom nothing is missing from.
    """
    while True:
        picture = anatomy.render(exposure)
        if exposure.variation == 0 or picture.smallest_share >= _SMALLEST:
            return picture
        milder = exposure.variation * 0.7
        exposure = replace(exposure, variation=milder if milder > 0.1 else 0.0)

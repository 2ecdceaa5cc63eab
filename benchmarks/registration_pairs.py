"""Image pairs to register: real hearts and hippocampi of different people, phantoms with the truth.

Real pairs are slices of two people, so a label map of one says how well it was carried to the
other. Phantom pairs are one picture and its image under a known diffeomorphism, so the displacement
itself can be compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from medscale.data.cases import Array, Case, Sample, Task
from medscale.data.cohort import Cohort
from medscale.data.options import PrepareOptions
from medscale.data.prepare import prepared_cohort
from medscale.errors import DataError
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, warp
from medscale.protocols import Dataset, PluginContext
from medscale.registry import default_registry
from medscale.seeding import numpy_generator
from medscale.study.construction import construct

SEED = 0

LARGEST_DISPLACEMENT = (8.0, 12.0)
"""Range of the largest displacement of a phantom pair, in pixels of 128."""

LEAST_DETERMINANT = 0.2
SMOOTHNESS = 14.0
"""Standard deviation of the Gaussian that smooths the velocities, in pixels of 128."""

MARGIN = 24
"""Pixels over which the velocity falls to zero at the border."""

NOISE = 0.015
"""Standard deviation of the independent noise of both images of a phantom pair."""

_SQUARINGS = 8


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of 2-D images to register.

    Attributes:
        name: The set.
        moving: (N, 1, H, W) float32 in [0, 1].
        fixed: The same, the images to be reached.
        moving_labels: (N, H, W) uint8, 0 being background.
        fixed_labels: The same.
        displacement: (N, 2, H, W) the true pull-back in pixels, where it is known:
            fixed(x) = moving(x + u(x)) up to noise.
        foreground: (N, H, W) bool, where the fixed image shows something; with `displacement`.
    """

    name: str
    moving: Tensor
    fixed: Tensor
    moving_labels: Tensor
    fixed_labels: Tensor
    displacement: Tensor | None = None
    foreground: Tensor | None = None

    def __len__(self) -> int:
        return len(self.moving)

    @property
    def labels(self) -> tuple[int, ...]:
        """Every label value but the background's."""
        return tuple(range(1, int(self.moving_labels.max()) + 1))

    def save(self, file: Path) -> None:
        """Write the arrays as NPZ."""
        names = [name for name in self.__dataclass_fields__ if name != "name"]
        arrays = {name: getattr(self, name) for name in names}
        np.savez_compressed(
            file, **{name: array.numpy() for name, array in arrays.items() if array is not None}
        )


def acdc_pairs(count: int, data: Path | None) -> Pairs:
    """Return mid-ventricular end-diastolic slices of different patients at 128², labels 1 to 3."""
    dataset = _dataset("acdc", {"phases": "ed", "slices": "mid"}, data, "acdc")
    return pairs_of_people("acdc", dataset, 128, count)


def hippocampus_pairs(count: int, data: Path | None) -> Pairs:
    """Return middle axial slices of different people's hippocampi at 64², labels 1 and 2."""
    dataset = _dataset("decathlon", {"dims": 2}, data, "Task04_Hippocampus")
    return pairs_of_people("hippocampus", dataset, 64, count)


def phantom_pairs(count: int, data: Path | None = None) -> Pairs:
    """Return phantoms at 128² and their images under known diffeomorphisms.

    Hearts (labels 1 to 3) and thoraces (1 lungs, 2 heart) alternate. The phantom's own noise is
    off: it would be carried along, and give away the displacement.
    """
    images: list[Array] = []
    labels: list[Array] = []
    parts = {
        variant: _prepared(
            _dataset("phantom", {"variant": variant, "subjects": count, "noise": 0}, None), 128
        )
        for variant in ("cardiac", "thorax")
    }
    for index in range(count):
        cohort = parts["thorax" if index % 2 else "cardiac"]
        images.append(cohort.images[index])
        labels.append(_label_map(cohort.labels[index]))
    clean, moving_labels = _tensor(np.stack(images)), torch.from_numpy(np.stack(labels))
    displacement = torch.cat([random_displacement((128, 128), index) for index in range(count)])
    warped = torch.stack([_warp_cubic(*each) for each in zip(clean, displacement, strict=True)])
    return Pairs(
        name="phantom",
        moving=_with_noise(clean, "moving"),
        fixed=_with_noise(warped, "fixed"),
        moving_labels=moving_labels,
        fixed_labels=warp_labels(moving_labels, displacement),
        displacement=displacement,
        foreground=warped[:, 0] > 0.1,
    )


MAKERS = {"acdc": acdc_pairs, "hippocampus": hippocampus_pairs, "phantom": phantom_pairs}
"""How each set is made: from a number of pairs and the folder of test data."""


def random_displacement(shape: tuple[int, int], index: int) -> Tensor:
    """Return one smooth random diffeomorphism that leaves the border where it is.

    The exponential of a stationary velocity by scaling and squaring (Arsigny et al. 2006), scaled
    until its largest displacement is the one drawn; one that comes too close to folding is drawn
    again.

    Args:
        shape: Of the image.
        index: Which one; the same index gives the same diffeomorphism.

    Returns:
        (1, 2, H, W) float32 in pixels, with det ∇φ > `LEAST_DETERMINANT` everywhere.
    """
    generator = numpy_generator(SEED, "registration", "diffeomorphism", index)
    while True:
        noise = generator.standard_normal((2, *shape))
        velocity = np.stack([ndimage.gaussian_filter(part, SMOOTHNESS) for part in noise])
        field = torch.from_numpy(velocity * _window(shape))[None]
        largest = float(generator.uniform(*LARGEST_DISPLACEMENT))
        for _ in range(4):
            displacement = exponential(field)
            field = field * (largest / float(displacement.norm(dim=1).max()))
        displacement = exponential(field)
        if float(jacobian_determinant(displacement).min()) > LEAST_DETERMINANT:
            return displacement.float()


def exponential(velocity: Tensor) -> Tensor:
    """Return the displacement (B, D, *S) of the flow of a stationary velocity up to time 1."""
    displacement: Tensor = velocity / 2**_SQUARINGS
    for _ in range(_SQUARINGS):
        displacement = compose(displacement, displacement)
    return displacement


def warp_labels(labels: Tensor, displacement: Tensor) -> Tensor:
    """Pull label maps (N, H, W) back: one-hot, linear interpolation, the largest wins."""
    classes = int(labels.max()) + 1
    one_hot = F.one_hot(labels.long(), classes).movedim(-1, 1).float()
    # What comes from outside is background, as it has to sum to one there too.
    one_hot[:, 0] -= 1
    warped = warp(one_hot, displacement.float())
    warped[:, 0] += 1
    return warped.argmax(1).to(labels.dtype)


class _Chosen:
    """A data set cut down to some of its cases, so that only these are read."""

    def __init__(self, dataset: Dataset, cases: Sequence[Case]) -> None:
        self._dataset, self._cases = dataset, tuple(cases)

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._dataset.tasks

    def cases(self) -> Sequence[Case]:
        return self._cases

    def load(self, case: Case) -> Sample:
        return self._dataset.load(case)


def _dataset(
    name: str, options: Mapping[str, Any], data: Path | None, folder: str | None = None
) -> Dataset:
    if folder is not None:
        if data is None or not (data / folder).is_dir():
            raise DataError(
                f"no data: set MEDSCALE_TEST_DATA to a folder that holds {folder} to register it"
            )
        data = data / folder
    plugin = default_registry().load("dataset", name)
    dataset: Dataset = construct(plugin, options, name, PluginContext(data=data))[0]
    return dataset


def _prepared(dataset: Dataset, size: int) -> Cohort:
    with tempfile.TemporaryDirectory() as cache:
        cohort, _ = prepared_cohort(
            dataset,
            identity={},
            options=PrepareOptions(shape=(size,)),
            cache=Path(cache),
            progress=lambda done, total: None,
        )
    return cohort


def pairs_of_people(name: str, dataset: Dataset, size: int, count: int) -> Pairs:
    """Pair the middle slices of people at random: each is moving once before any is twice.

    Args:
        name: Of the set; the random stream goes by it.
        dataset: Slices with a position.
        size: Side of the prepared images, in pixels.
        count: Number of pairs.
    """
    middle: dict[str, Case] = {}
    for case in dataset.cases():
        best = middle.setdefault(case.subject, case)
        if _off_middle(case) < _off_middle(best):
            middle[case.subject] = case
    cohort = _prepared(_Chosen(dataset, list(middle.values())), size)
    values = [value for value in np.unique(cohort.labels) if value]
    whole = [
        row for row, label in enumerate(cohort.labels) if np.isin(values, label).all()
    ]  # a structure that one of two people lacks says nothing about their registration
    generator = numpy_generator(SEED, "registration", name)
    order = generator.permutation(whole)
    moving = [index % len(order) for index in range(count)]
    fixed = [(index + int(generator.integers(1, len(order)))) % len(order) for index in moving]
    sources, targets = order[moving], order[fixed]
    return Pairs(
        name=name,
        moving=_tensor(cohort.images[sources]),
        fixed=_tensor(cohort.images[targets]),
        moving_labels=torch.from_numpy(cohort.labels[sources]),
        fixed_labels=torch.from_numpy(cohort.labels[targets]),
    )


def _off_middle(case: Case) -> float:
    return abs((0.0 if case.position is None else case.position) - 0.5)


def _label_map(label: Array) -> Array:
    """Turn masks (K, H, W) into one map, later ones on top; a map stays as it is."""
    if label.ndim == 2:
        return label
    label_map: Array = np.zeros(label.shape[1:], np.uint8)
    for value, mask in enumerate(label, start=1):
        label_map[mask > 0] = value
    return label_map


def _window(shape: tuple[int, int]) -> Array:
    """Return a smooth window (H, W): zero at the border, one beyond the margin."""
    ramps = []
    for length in shape:
        depth = np.minimum(np.arange(length), np.arange(length)[::-1]) / MARGIN
        depth = np.clip(depth, 0, 1)
        ramps.append(depth**2 * (3 - 2 * depth))
    window: Array = ramps[0][:, None] * ramps[1][None]
    return window


def _warp_cubic(image: Tensor, displacement: Tensor) -> Tensor:
    """Warp (1, H, W) by cubic splines: linear interpolation would blur the fixed image alone."""
    places = np.indices(image.shape[1:]) + displacement.double().numpy()
    warped = ndimage.map_coordinates(image[0].double().numpy(), places, order=3, mode="nearest")
    return _tensor(warped[None]).clamp(0, 1)


def _with_noise(images: Tensor, which: str) -> Tensor:
    noise = numpy_generator(SEED, "registration", "noise", which).standard_normal(images.shape)
    return (images + NOISE * _tensor(noise)).clamp(0, 1)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))

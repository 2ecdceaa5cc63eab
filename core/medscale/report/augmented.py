"""Samples of what each arm does to training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medscale.data.cases import Array, Task
from medscale.data.cohort import Cohort
from medscale.fields.jacobian import jacobian_determinant
from medscale.protocols import Augmenter, Batch, PluginContext, SupportsDisplacements
from medscale.registry import Registry
from medscale.report.samples import SampleRow
from medscale.seeding import torch_generator
from medscale.study.plan import PlannedTrial
from medscale.study.trial import fitted_augmenters, trial_rows
from medscale.training.augmentation import apply, at_shape, composed, draw, draw_displacements
from medscale.training.options import AugmentationOptions


def sample_rows(
    trial: PlannedTrial,
    cohort: Cohort,
    registry: Registry,
    context: PluginContext,
    *,
    cases: int,
    samples: int,
) -> list[SampleRow]:
    """Augment the first training cases of a trial several times, without the baseline.

    Args:
        trial: Whose arm to show.
        cohort: Its prepared data.
        registry: Installed plugins.
        context: Device and caches of its augmenters.
        cases: How many training cases to show, at most.
        samples: How many samples of each.
    """
    spec = trial.spec
    split, train = trial_rows(spec, cohort)
    augmenters = fitted_augmenters(spec, cohort, split, train, registry, context)
    generator = torch_generator(spec.seed, "preview", trial.arm)
    plain = without_baseline(spec.augmentation)
    shown = train[:cases]
    rows = []
    for row, mask in zip(shown, cohort.target(Task(labels=spec.labels), shown), strict=True):
        batch = Batch(
            torch.from_numpy(cohort.images[[row]]).expand(samples, -1, *mask.shape),
            torch.from_numpy(mask).float()[None].expand(samples, 1, *mask.shape),
            torch.full((samples,), row),
        )
        rows.append(augmented_row(cohort.cases[row].id, batch, augmenters, plain, generator))
    return rows


def without_baseline(options: AugmentationOptions) -> AugmentationOptions:
    """Return the options that leave the baseline's flips, affine and intensity changes out."""
    return options.model_copy(update={"flip": 0.0, "affine": 0.0, "intensity": 0.0})


def changed(row: SampleRow, count: int) -> SampleRow:
    """Return a row with the first of its samples that are deformed.

    An arm that deforms one sample in ten would mostly show nothing.
    """
    kept = list(range(count))
    if row.displacements is not None:
        still = (row.displacements == 0).all(axis=(1, 2, 3))
        kept = np.argsort(still, kind="stable")[:count].tolist()
    return replace(
        row,
        images=row.images[kept],
        masks=row.masks[kept],
        displacements=None if row.displacements is None else row.displacements[kept],
        determinants=None if row.determinants is None else row.determinants[kept],
    )


def augmented_row(
    title: str,
    batch: Batch,
    augmenters: Sequence[Augmenter],
    options: AugmentationOptions,
    generator: torch.Generator,
) -> SampleRow:
    """Augment a batch of copies of one image as training would.

    The map that is drawn is the arm's alone, without the baseline's flips and affine.
    """
    shape = tuple(batch.images.shape[2:])
    parameters = draw(len(batch.images), len(shape), options, generator)
    in_image, in_output = draw_displacements(batch, augmenters, generator)
    augmented = apply(batch, parameters, options, in_image, in_output)
    for augmenter in augmenters:
        if not isinstance(augmenter, SupportsDisplacements):
            augmented = augmenter.augment(augmented, generator)
    field = composed(in_image, in_output, shape)
    return sample_row(title, batch, augmented, None if field is None else at_shape(field, shape))


def sample_row(title: str, batch: Batch, samples: Batch, field: Tensor | None) -> SampleRow:
    """Return what a contact sheet shows of an image, samples of it and their displacements."""
    dims = batch.images.ndim - 2
    return SampleRow(
        title=title,
        image=plane(batch.images[0, 0], dims),
        mask=plane(batch.masks[0, 0], dims),
        images=plane(samples.images[:, 0], dims),
        masks=plane(samples.masks[:, 0], dims),
        displacements=None if field is None else plane(field[:, :2], dims),
        determinants=None if field is None else plane(jacobian_determinant(field), dims),
    )


def plane(pixels: Tensor, dims: int) -> Array:
    """Return a plane (..., H, W): of a volume, the middle of its last axis."""
    if dims == 3:
        pixels = pixels[..., pixels.shape[-1] // 2]
    shown: Array = pixels.numpy()
    return shown

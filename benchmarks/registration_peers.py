"""Registration tools to compare with: one thread, each with one untuned, sensible setting.

Every peer registers one pair of 2-D images in [0, 1] and answers in medscale's convention: a
pull-back in pixels, array axis order, with its inverse where the tool computes one.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medscale.data.cases import Array

Fields = tuple[Array, Array | None]
"""Displacement (2, H, W) and that of the inverse map, or None."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A tool with its settings.

    Attributes:
        package: The top-level module that it needs.
        settings: What it ran with, for the reader of the table.
        register: From moving and fixed (H, W) float32 to the fields.
    """

    package: str
    settings: str
    register: Callable[[Array, Array], Fields]

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        return importlib.util.find_spec(self.package) is not None


def use_one_thread() -> None:
    """Keep tools that are imported later on one thread; call it before any of them runs."""
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"


def stay(moving: Array, fixed: Array) -> Fields:
    """Return the identity: what the measures are before registration."""
    still = np.zeros((2, *moving.shape), np.float32)
    return still, still


def dipy_syn_cc(moving: Array, fixed: Array) -> Fields:
    """Run the SyN of dipy with local cross-correlation, as in its 2-D example with brain slices."""
    from dipy.align.metrics import CCMetric

    return _dipy_syn(moving, fixed, CCMetric(2, sigma_diff=3.0, radius=4))


def dipy_syn_ssd(moving: Array, fixed: Array) -> Fields:
    """Run the SyN of dipy with squared differences over the same scale space."""
    from dipy.align.metrics import SSDMetric

    return _dipy_syn(moving, fixed, SSDMetric(2))


def sitk_fast_symmetric_demons(moving: Array, fixed: Array) -> Fields:
    """Run SimpleITK's fast symmetric forces demons over a pyramid."""
    import SimpleITK as sitk  # noqa: N813 - the name everybody gives it

    return _sitk_demons(moving, fixed, sitk.FastSymmetricForcesDemonsRegistrationFilter(), 1.5)


def sitk_fast_symmetric_demons_smooth(moving: Array, fixed: Array) -> Fields:
    """Run the same smoothed more: with 1.5 pixels it may fold, with 2 it seldom does."""
    import SimpleITK as sitk  # noqa: N813

    return _sitk_demons(moving, fixed, sitk.FastSymmetricForcesDemonsRegistrationFilter(), 2.0)


def sitk_diffeomorphic_demons(moving: Array, fixed: Array) -> Fields:
    """Run SimpleITK's diffeomorphic demons over a pyramid."""
    import SimpleITK as sitk  # noqa: N813

    return _sitk_demons(moving, fixed, sitk.DiffeomorphicDemonsRegistrationFilter(), 1.5)


def ants_syn_cc(moving: Array, fixed: Array) -> Fields:
    """Run the SyN of ANTs with cross-correlation and the iterations that ANTsPy has by default."""
    return _ants_syn(moving, fixed, (40, 20, 0), 0.2)


def ants_syn_cc_script(moving: Array, fixed: Array) -> Fields:
    """Run the SyN of ANTs with the iterations and step of its script antsRegistrationSyN.sh."""
    return _ants_syn(moving, fixed, (100, 70, 50, 20), 0.1)


def ants_syn_cc_preset(moving: Array, fixed: Array) -> Fields:
    """Run the SyN of ANTs with the iterations and step of ANTsPy's transform "SyNCC"."""
    return _ants_syn(moving, fixed, (2100, 1200, 1200, 20), 0.15)


PEERS = {
    "none": Peer(package="numpy", settings="no registration", register=stay),
    "dipy_syn_cc": Peer(
        package="dipy",
        settings="CC, radius 4, sigma_diff 3, iterations 100/50/25 (dipy's 2-D example)",
        register=dipy_syn_cc,
    ),
    "dipy_syn_ssd": Peer(
        package="dipy",
        settings="SSD, defaults, iterations 100/50/25",
        register=dipy_syn_ssd,
    ),
    "sitk_fast_demons": Peer(
        package="SimpleITK",
        settings="FastSymmetricForcesDemons, 100/50/25 iterations at 1/4, 1/2, 1, sigma 1.5 px",
        register=sitk_fast_symmetric_demons,
    ),
    "sitk_fast_demons_smooth": Peer(
        package="SimpleITK",
        settings="the same, sigma 2 px",
        register=sitk_fast_symmetric_demons_smooth,
    ),
    "sitk_diffeo_demons": Peer(
        package="SimpleITK",
        settings="DiffeomorphicDemons, 100/50/25 iterations at 1/4, 1/2, 1, sigma 1.5 px",
        register=sitk_diffeomorphic_demons,
    ),
    "ants_syn_cc": Peer(
        package="ants",
        settings="SyNOnly, CC radius 4, iterations 40/20/0, step 0.2 (ANTsPy's defaults)",
        register=ants_syn_cc,
    ),
    "ants_syn_cc_script": Peer(
        package="ants",
        settings="SyNOnly, CC radius 4, iterations 100/70/50/20, step 0.1 (antsRegistrationSyN.sh)",
        register=ants_syn_cc_script,
    ),
    "ants_syn_cc_preset": Peer(
        package="ants",
        settings="SyNOnly, CC radius 4, iterations 2100/1200/1200/20, step 0.15 (ANTsPy's SyNCC)",
        register=ants_syn_cc_preset,
    ),
}

_PYRAMID = ((4, 100), (2, 50), (1, 25))
"""Shrink factor and iterations of each level of the demons."""


def _dipy_syn(moving: Array, fixed: Array, metric: Any) -> Fields:
    import logging

    from dipy.align.imwarp import SymmetricDiffeomorphicRegistration

    logging.getLogger("dipy").setLevel(logging.WARNING)
    registration = SymmetricDiffeomorphicRegistration(metric, level_iters=[100, 50, 25])
    mapping = registration.optimize(fixed.astype(np.float64), moving.astype(np.float64))
    forward, backward = mapping.get_forward_field(), mapping.get_backward_field()
    return np.moveaxis(np.asarray(forward), -1, 0), np.moveaxis(np.asarray(backward), -1, 0)


def _sitk_demons(moving: Array, fixed: Array, demons: Any, sigma: float) -> Fields:
    """Run demons, coarse to fine; the Gaussian of `sigma` pixels smooths the displacement."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(sigma)
    images = [sitk.GetImageFromArray(image.astype(np.float32)) for image in (fixed, moving)]
    field: Any = None
    for shrink, iterations in _PYRAMID:
        level = images
        if shrink > 1:
            level = [
                sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, shrink / 2), [shrink] * 2)
                for image in images
            ]
        demons.SetNumberOfIterations(iterations)
        if field is None:
            field = demons.Execute(*level)
        else:
            field = demons.Execute(*level, _resampled(field, level[0]))
    vectors = sitk.GetArrayFromImage(field)  # SimpleITK's vectors have the last axis first
    return np.moveaxis(vectors, -1, 0)[::-1].copy(), None


def _resampled(field: Any, like: Any) -> Any:
    """Return a displacement field on the grid of an image, continued beyond its own border."""
    import SimpleITK as sitk  # noqa: N813

    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(like)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return resampler.Execute(field)


def _ants_syn(moving: Array, fixed: Array, iterations: tuple[int, ...], grad_step: float) -> Fields:
    import ants

    with tempfile.TemporaryDirectory() as folder:
        result = ants.registration(
            fixed=ants.from_numpy(fixed.astype(np.float32)),
            moving=ants.from_numpy(moving.astype(np.float32)),
            type_of_transform="SyNOnly",
            initial_transform="identity",
            outprefix=str(Path(folder) / "pair"),
            syn_metric="CC",
            syn_sampling=4,
            reg_iterations=iterations,
            grad_step=grad_step,
        )
        # The identity that it starts from is written as an affine map of its own.
        files = [
            next(file for file in result[name] if file.endswith("Warp.nii.gz"))
            for name in ("fwdtransforms", "invtransforms")
        ]
        forward, backward = (np.moveaxis(ants.image_read(f).numpy(), -1, 0) for f in files)
    return forward, backward

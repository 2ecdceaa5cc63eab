"""From clean tissue values to something that a camera or scanner could have delivered."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medscale_dataset_phantom.draws import Exposure
from medscale_dataset_phantom.shapes import Array

LEVELS = 4095
"""Images are stored with 12 bits, as scanners do. It also keeps the last bits of arithmetic, which
differ between processors, out of the data."""

_WHITE = 1.6
"""What a clean value of 1 may become through shading and gain before it saturates."""


def develop(
    clean: Array,
    exposure: Exposure,
    *,
    noise: float,
    bias: float,
    statistics: Literal["rician", "gaussian"],
) -> npt.NDArray[np.float32]:
    """Blur, shade, bend the contrast, add noise and round.

    Args:
        clean: (size, size) about 0 to 1.
        exposure: The picture to be made.
        noise: Usual standard deviation of the noise, as a share of the full range.
        bias: Usual standard deviation of the shading field's logarithm.
        statistics: Noise of a magnitude MRI image, or of a detector.

    Returns:
        (size, size) float32 whole numbers from 0 to 4095.
    """
    draws = exposure.moment("appearance")
    size = exposure.size
    # The blur belongs to the scanner, so it is a length and not a number of pixels.
    image = ndimage.gaussian_filter(clean, draws.between(0.35, 0.75) * size / 128)
    image = image * np.exp(bias * draws.between(0.6, 1.4) * draws.field(size, 2))
    image = np.clip(image, 0, None) ** np.exp(draws.about(0, 0.15))
    image = image * np.exp(draws.about(0, 0.1))
    sigma = exposure.noise * noise * draws.between(0.6, 1.6)
    first, second = sigma * draws.generator.standard_normal((2, size, size))
    image = np.hypot(image + first, second) if statistics == "rician" else image + first
    rounded: npt.NDArray[np.float32] = np.rint(np.clip(image / _WHITE, 0, 1) * LEVELS).astype(
        np.float32
    )
    return rounded

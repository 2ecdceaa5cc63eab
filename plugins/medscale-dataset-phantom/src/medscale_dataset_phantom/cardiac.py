"""A short-axis slice of the heart, as in bright-blood cine MRI.

The LV blood pool lies inside the myocardial ring, the crescent of the RV leans on its septum.
The aorta, fat, the stomach and vessels of the liver are as bright as blood; papillary muscles and
trabeculae are as dark as myocardium but belong to the cavities, as annotators count them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medscale.data.cases import Task
from medscale_dataset_phantom.appearance import develop
from medscale_dataset_phantom.deformation import deformed_plane
from medscale_dataset_phantom.draws import Draws, Exposure
from medscale_dataset_phantom.picture import Picture
from medscale_dataset_phantom.shapes import (
    Array,
    Plane,
    coverage,
    ellipse,
    intersection,
    paint,
    true_distance,
    union,
)

RV, MYO, LV = 1, 2, 3
"""Label values, as the ACDC challenge numbers them."""

TASKS = {
    "lv": Task(
        labels=(LV,), main=True, description="left ventricle, blood pool with papillary muscles"
    ),
    "rv": Task(labels=(RV,), description="right ventricle, blood pool"),
    "myo": Task(labels=(MYO,), description="myocardium of the left ventricle"),
    "heart": Task(labels=(RV, MYO, LV), description="both ventricles and the myocardium"),
}
FIELD_OF_VIEW_MM = 220.0


def render(exposure: Exposure) -> Picture:
    """Draw one slice."""
    plane = deformed_plane(exposure, 0.05)
    look = exposure.person("tissue")
    canvas = np.full_like(plane.x, 0.02)
    _paint_body(canvas, plane, exposure, look)
    label = _paint_heart(canvas, plane, exposure, look)
    texture = exposure.moment("texture").field(exposure.size, 40)
    canvas *= 1 + 0.06 * texture
    image = develop(canvas, exposure, noise=0.045, bias=0.22, statistics="rician")
    return Picture(image, label, structures=3)


def _paint_body(canvas: Array, plane: Plane, exposure: Exposure, look: Draws) -> None:
    """Paint chest wall, lungs, liver, stomach, spine and the great vessels."""
    shape = exposure.person("body")
    pixel = plane.pixel
    fat, muscle, lung = look.between(0.4, 1.1), look.between(0.2, 0.45), look.between(0.05, 0.2)

    skin = ellipse(
        plane, shape.about(0.05, 0.08), 0.28, shape.about(1.5, 0.1), shape.about(1.2, 0.06)
    )
    paint(canvas, coverage(skin, 1.5 * pixel), fat)
    wall = skin + max(0.04, shape.about(0.13, 0.05))
    paint(canvas, coverage(wall, 2 * pixel), muscle)
    ribs = np.sin(plane.x * shape.between(8, 12) + shape.between(0, 6)) * 0.06 + 0.02
    rib = np.maximum(np.abs(wall + 0.07) - 0.025, ribs)
    paint(canvas, 0.7 * coverage(rib, 2 * pixel), fat * 0.8)
    cavity = wall + max(0.08, shape.about(0.13, 0.02))
    airways = 1 + 0.5 * np.clip(np.abs(shape.field(exposure.size, 18)) - 1, 0, None)
    paint(canvas, coverage(cavity, 2 * pixel), lung * airways)

    # Mediastinal fat between the lungs, in front of the heart and behind it.
    middle = ellipse(
        plane, shape.about(-0.2, 0.06), -0.1, shape.about(0.33, 0.06), 0.95, shape.about(-0.35, 0.1)
    )
    middle = middle + 0.04 * shape.spread * shape.field(exposure.size, 6)
    strands = 1 - 0.12 * np.abs(shape.field(exposure.size, 12))
    inside = coverage(intersection(middle, cavity), 3 * pixel)
    paint(canvas, inside, fat * look.between(0.55, 0.85) * strands)

    liver = ellipse(
        plane,
        shape.about(-0.72, 0.08),
        shape.about(0.66, 0.07),
        shape.about(0.8, 0.08),
        shape.about(0.46, 0.05),
        shape.about(0.25, 0.12),
    )
    liver = intersection(liver, cavity)
    paint(canvas, coverage(liver, 2 * pixel), look.between(0.25, 0.6))
    ridges = np.abs(shape.field(exposure.size, 7))
    portal = np.maximum(liver + 0.06, (ridges - 0.12) * 0.12)
    paint(canvas, 0.8 * coverage(portal, 2 * pixel), look.between(0.6, 0.95))

    stomach = ellipse(
        plane, shape.about(0.58, 0.08), shape.about(0.7, 0.08), shape.about(0.46, 0.06),
        shape.about(0.28, 0.05), shape.about(-0.2, 0.2),
    )  # fmt: skip
    stomach = intersection(stomach, cavity)
    paint(canvas, coverage(stomach, 2 * pixel), muscle)
    paint(canvas, coverage(stomach + 0.05, 2 * pixel), look.between(0.15, 0.9))

    spine = ellipse(plane, shape.about(-0.15, 0.06), 1.0, shape.about(0.26, 0.03), 0.22)
    paint(canvas, coverage(spine, 2 * pixel), look.between(0.3, 0.55))
    for x, y, radius in ((0.12, 0.72, 0.115), (-0.42, 0.5, 0.1)):  # aorta, inferior vena cava
        vessel = ellipse(
            plane, shape.about(x, 0.07), shape.about(y, 0.05), shape.about(radius, 0.02),
            shape.about(radius, 0.02), shape.about(0.0, 0.5),
        )  # fmt: skip
        rim = shape.between(0.02, 0.06)
        paint(canvas, coverage(vessel - rim, 2 * pixel), muscle)
        paint(canvas, coverage(vessel, 1.5 * pixel), look.between(0.65, 1.0))


def _paint_heart(
    canvas: Array, plane: Plane, exposure: Exposure, look: Draws
) -> npt.NDArray[np.uint8]:
    """Paint both ventricles and return the label."""
    shape, pose = exposure.person("heart"), exposure.moment("pose")
    pixel, squeeze = plane.pixel, exposure.phase
    heart = plane.local(
        shape.about(0.14, 0.09) + pose.about(0, 0.01),
        shape.about(-0.02, 0.08) + pose.about(0, 0.01),
        shape.about(0.1, 0.3) + pose.about(0, 0.02),
        np.exp(shape.about(0.0, 0.12)),
    )

    # A beat: the cavity loses much, the outside little, so the wall thickens. Cavity and wall
    # vary on their own, from dilated and thin to small and hypertrophic.
    cavity = max(0.1, shape.about(0.2, 0.03))
    wall = max(0.045, shape.about(0.095, 0.018))
    contracted = cavity * (1 - squeeze * shape.about(0.3, 0.05))
    outside = np.sqrt((cavity + wall) ** 2 - 0.9 * (cavity**2 - contracted**2))
    aspect = np.exp(shape.about(0.0, 0.06))
    outer = ellipse(heart, 0, 0, outside * aspect, outside / aspect, shape.about(0, 0.5))
    squash = np.exp(shape.about(0.0, 0.05))
    inner = ellipse(
        heart, shape.about(0, 0.012), shape.about(0, 0.012), contracted * squash,
        contracted / squash, shape.about(0, 0.5),
    )  # fmt: skip
    inner = inner + 0.06 * contracted * shape.spread * shape.field(exposure.size, 8)
    outer = true_distance(outer, pixel)
    # However thin the wall, the blood pool keeps two pixels of it around itself.
    inner = np.maximum(true_distance(inner, pixel), outer + 2 * pixel)

    width = shape.about(0.29, 0.035) * (1 - 0.16 * squeeze)
    bag = ellipse(
        heart, shape.about(-0.31, 0.03), shape.about(-0.02, 0.05), width,
        shape.about(0.37, 0.035) * (1 - 0.1 * squeeze), shape.about(0.1, 0.15),
    )  # fmt: skip
    bag = bag + 0.015 * shape.spread * shape.field(exposure.size, 7)
    right = true_distance(intersection(bag, 0.01 - outer, 0.03), pixel)

    # From balanced sequences to spoiled ones: blood and muscle can be far apart or close.
    blood, fat = look.between(0.7, 1.0), look.between(0.35, 1.05)
    muscle = blood * look.between(0.25, 0.62)
    both = union(outer, bag - 0.035, 0.06)
    paint(canvas, coverage(both - max(0.0, shape.about(0.03, 0.02)), 3 * pixel), fat * 0.9)
    paint(canvas, coverage(both, 1.5 * pixel), muscle * 1.15)
    flow = 1 + look.between(0.04, 0.16) * exposure.moment("flow").field(exposure.size, 10)
    paint(canvas, coverage(right, pixel), blood * look.between(0.8, 1.05) * flow)
    trabeculae = np.abs(shape.field(exposure.size, 14))
    strands = np.maximum(right, (trabeculae - 0.1) * 0.08)
    strands = np.maximum(strands, -(right + shape.between(0.04, 0.1)))
    paint(canvas, 0.75 * coverage(strands, 2 * pixel), muscle * 1.2)
    paint(canvas, coverage(outer, pixel), muscle)
    paint(canvas, coverage(inner, pixel), blood * flow)
    _paint_papillaries(canvas, heart, inner, shape, contracted, muscle * look.between(1.0, 1.4))

    label: npt.NDArray[np.uint8] = np.zeros(plane.x.shape, np.uint8)
    label[right < 0] = RV
    label[outer < 0] = MYO
    label[inner < 0] = LV
    return label


def _paint_papillaries(
    canvas: Array, heart: Plane, inner: Array, shape: Draws, radius: float, muscle: float
) -> None:
    """Paint the two papillary muscles, near the wall or grown together with it."""
    for angle in (0.9, -0.8):
        at, out = shape.about(angle, 0.2), radius * shape.about(0.68, 0.1)
        muscle_body = ellipse(
            heart, out * np.cos(at), out * np.sin(at), radius * shape.about(0.23, 0.05),
            radius * shape.about(0.31, 0.06), at,
        )  # fmt: skip
        inside = np.maximum(muscle_body, inner)
        paint(canvas, 0.9 * coverage(inside, 2 * heart.pixel), muscle)

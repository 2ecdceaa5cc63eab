"""A frontal chest radiograph: densities add up along the beam.

Lungs are dark, but so are the air around the body and the gas in the stomach; ribs, clavicles,
shoulder blades and vessels cross the lungs. The heart hides a part of the left lung, and both
count there: the annotation is one mask per structure.
"""

from __future__ import annotations

import numpy as np

from medscale.data.cases import Task
from medscale_dataset_phantom import strokes
from medscale_dataset_phantom.appearance import develop
from medscale_dataset_phantom.deformation import deformed_plane
from medscale_dataset_phantom.draws import Draws, Exposure
from medscale_dataset_phantom.picture import Picture
from medscale_dataset_phantom.shapes import (
    Array,
    Plane,
    capsule,
    coverage,
    ellipse,
    intersection,
    true_distance,
    union,
)

TASKS = {
    "lungs": Task(
        labels=(0,), main=True, description="both lungs, with what the heart hides of the left one"
    ),
    "heart": Task(labels=(1,), description="the heart's shadow"),
}
FIELD_OF_VIEW_MM = 380.0


def render(exposure: Exposure) -> Picture:
    """Draw one radiograph."""
    shape, pose = exposure.person("chest"), exposure.moment("pose")
    scale = np.exp(shape.about(0.1, 0.09))
    plane = deformed_plane(exposure, 0.045).local(
        pose.about(shape.about(0, 0.06), 0.01),
        pose.about(shape.about(0.02, 0.06), 0.01),
        pose.about(shape.about(0, 0.06), 0.01),
        scale,
    )
    expired = exposure.phase
    heart = _heart(plane, shape, expired)
    domes = [_below_diaphragm(plane, shape, side, expired, exposure.size) for side in (-1, 1)]
    frame = (shape.about(0.15, 0.03), shape.about(0.335, 0.02), shape.about(0.8, 0.05))
    lungs = [
        _lung(plane, shape, side, dome, *frame) for side, dome in zip((-1, 1), domes, strict=True)
    ]
    # The lung wraps around the heart and reaches some way in front of it and behind it.
    hidden = max(0.05, shape.about(0.12, 0.035))
    foot = capsule(plane, (0.1, 0.2), (0.2, 0.7), shape.about(0.27, 0.02))
    lungs[1] = intersection(lungs[1], -union(heart, foot, 0.05) - hidden, 0.06)
    lungs = [true_distance(lung, plane.pixel) for lung in lungs]
    heart = true_distance(heart, plane.pixel)

    density = _density(plane, exposure, shape, lungs, heart, domes)
    image = develop(0.87 * density, exposure, noise=0.03, bias=0.16, statistics="gaussian")
    label = np.stack([np.minimum(*lungs) < 0, heart < 0])
    return Picture(image, label, structures=2)


def _heart(plane: Plane, shape: Draws, expired: float) -> Array:
    """Return the heart: a tilted egg, flatter on its diaphragm, with the great vessels on top."""
    x, y = shape.about(0.12, 0.025), shape.about(0.22, 0.03) - 0.06 * expired
    size = np.exp(shape.about(0.0, 0.1)) * (1 + 0.05 * expired)
    tilt = shape.about(0.5, 0.12)
    egg = ellipse(plane, x, y, 0.37 * size, 0.25 * size * np.exp(shape.about(0, 0.06)), tilt)
    base = ellipse(plane, x - 0.08, y - 0.14, 0.17 * size, 0.2 * size, 0.1)
    return union(egg, base, 0.05)


def _below_diaphragm(plane: Plane, shape: Draws, side: int, expired: float, size: int) -> Array:
    """Return how far each pixel lies below the dome of one side."""
    top = shape.about(0.36 if side < 0 else 0.42, 0.05) - 0.1 * expired
    middle, arch = shape.about(0.38, 0.03), shape.about(0.9, 0.15)
    dome = top + arch * (side * plane.x - middle) ** 2
    return (plane.y - dome) * 0.9 + 0.006 * shape.spread * shape.field(size, 6)


def _lung(
    plane: Plane, shape: Draws, side: int, below: Array, lean: float, width: float, height: float
) -> Array:
    """Return one lung: an oval that leans towards the apex, cut by the diaphragm."""
    lean, width = shape.about(lean, 0.008), shape.about(width, 0.01)
    height = shape.about(height, 0.015)
    across = side * plane.x - lean * plane.y
    leaning = Plane(across, plane.y, plane.pixel)
    oval = ellipse(leaning, shape.about(0.4, 0.012), shape.about(0.1, 0.012), width, height)
    # A second, boxier oval keeps the sides of the lung steep, as the rib cage does.
    box = np.abs(across - 0.4) - width * 0.93
    # The hilum and the mediastinum press on the inner side.
    hilum = ellipse(leaning, 0.03, shape.about(-0.05, 0.04), shape.about(0.12, 0.02), 0.26)
    return intersection(intersection(intersection(oval, box, 0.08), below, 0.035), -hilum, 0.06)


def _density(
    plane: Plane, exposure: Exposure, shape: Draws, lungs: list[Array], heart: Array,
    domes: list[Array],
) -> Array:  # fmt: skip
    """Return what the film shows, bright where the beam is held back."""
    look = exposure.person("tissue")
    pixel, x = plane.pixel, plane.x
    torso = ellipse(plane, 0, 0.5, shape.about(0.95, 0.04), 1.9)
    shoulders = capsule(plane, (-1.1, -0.25), (1.1, -0.25), shape.about(0.42, 0.03))
    neck = capsule(plane, (0, -1.3), (0, -0.6), shape.about(0.24, 0.03))
    body = union(union(torso, shoulders, 0.2), neck, 0.2)
    depth = np.sqrt(np.clip(-body / shape.about(0.42, 0.04), 0, 1))
    density = (0.4 + look.between(-0.05, 0.08)) * depth
    density += 0.18 * coverage(body, 2 * pixel)

    both = np.minimum(*lungs)
    air = coverage(both, 1.5 * pixel) * (0.7 + 0.3 * np.clip(-both / 0.15, 0, 1))
    density -= look.between(0.24, 0.46) * air
    behind = 1 - 0.25 * coverage(both, 0.1)
    density += look.between(0.16, 0.3) * coverage(heart, 1.5 * pixel) * behind
    left = np.clip(0.5 + x / 0.3, 0, 1)  # the domes meet gradually behind the heart
    abdomen = domes[0] + left * (domes[1] - domes[0])
    density += look.between(0.12, 0.22) * coverage(-abdomen, 2 * pixel) * depth
    _add_middle(density, plane, shape, look)
    _add_bones(density, plane, shape, look, body)

    if look.chance(0.7):  # gas under the left dome: as dark as lung, but none
        gas = ellipse(plane, shape.about(0.42, 0.06), 0.62, shape.about(0.14, 0.03), 0.08)
        gas = intersection(gas, 0.05 - domes[1], 0.04)
        density -= look.between(0.15, 0.35) * coverage(gas, 2 * pixel)
    if look.chance(0.5):  # breast shadows
        fold = shape.about(0.4, 0.05)
        for side in (-1, 1):
            breast = ellipse(plane, side * 0.45, fold - 0.22, 0.34, 0.32)
            density += look.between(0.05, 0.12) * coverage(breast, 0.05) * depth
    density += 0.17 * _lung_vessels(exposure, shape, plane) * coverage(both, 0.04)
    density += _disease(plane, exposure, domes) * coverage(both, 0.04)
    density += 0.03 * exposure.person("texture").field(exposure.size, 36) * depth
    _add_hardware(density, exposure)
    return density


def _add_middle(density: Array, plane: Plane, shape: Draws, look: Draws) -> None:
    """Add spine, mediastinum, aortic knob and windpipe."""
    x, y, pixel = plane.x, plane.y, plane.pixel
    spine = coverage(np.abs(x) - shape.about(0.075, 0.006), 3 * pixel)
    discs = 0.75 + 0.25 * np.cos(2 * np.pi * y / shape.about(0.155, 0.01))
    density += look.between(0.1, 0.16) * spine * discs
    width = shape.about(0.15, 0.02)
    density += look.between(0.1, 0.2) * np.exp(-((x / width) ** 2))
    knob = ellipse(plane, shape.about(0.11, 0.015), shape.about(-0.24, 0.03), 0.09, 0.1)
    density += look.between(0.08, 0.18) * coverage(knob, 2 * pixel)
    windpipe = capsule(plane, (0, -1.2), (shape.about(-0.02, 0.015), -0.24), 0.045)
    density -= look.between(0.08, 0.16) * coverage(windpipe, 3 * pixel)


def _add_bones(density: Array, plane: Plane, shape: Draws, look: Draws, body: Array) -> None:
    """Add ribs, clavicles and shoulder blades."""
    x, y, pixel = np.abs(plane.x), plane.y, plane.pixel
    gap, thin = shape.about(0.165, 0.008), shape.about(0.19, 0.015)
    cage = ellipse(plane, 0, 0.15, shape.about(0.79, 0.02), 0.98)
    inside = coverage(cage, 2 * pixel)
    slopes = (
        # Posterior ribs leave the spine level and fall sideways; anterior ones rise outwards.
        (0.16, y + 0.12 * np.sin(4 * x) - shape.about(0.95, 0.1) * x**2, 0.07),
        (0.075, y + shape.about(0.55, 0.06) * (x - 0.75) - 0.5 * (x - 0.75) ** 2, 0.3),
    )
    strength = look.between(0.7, 1.2)
    for density_of_rib, level, near in slopes:
        place = np.abs((level / gap + shape.between(0, 1)) % 1 - 0.5) * gap
        rib = coverage(place - thin * gap, 2 * pixel)
        # The cortex is denser than the marrow, so a rib has bright borders.
        rim = coverage(np.abs(place - thin * gap) - 0.006, 2 * pixel)
        ribs = (0.6 * rib + 0.4 * rim) * inside * coverage(near - x, 0.05)
        density += density_of_rib * strength * ribs * coverage(y - 0.6, 0.4)
    for side in (-1, 1):
        rise = shape.about(-0.05, 0.03)
        inner, outer = (side * 0.07, -0.46), (side * 0.85, -0.6 + rise)
        bow = 0.04 * np.sin(np.clip(plane.x * side / 0.7, 0, 1) * 2 * np.pi)
        clavicle = capsule(Plane(plane.x, y + bow, pixel), inner, outer, 0.038)
        density += look.between(0.14, 0.24) * coverage(clavicle, 2 * pixel)
        blade = ellipse(
            plane, side * shape.about(0.74, 0.03), -0.25, 0.14, 0.34, side * shape.about(0.3, 0.08)
        )
        density += look.between(0.04, 0.1) * coverage(np.maximum(blade, body), 3 * pixel)


def _disease(plane: Plane, exposure: Exposure, domes: list[Array]) -> Array:
    """Return what fills some lungs: patches of consolidation, and fluid above a diaphragm."""
    draws = exposure.person("disease")
    density = np.zeros_like(plane.x)
    if draws.chance(0.5):
        cloud = 1 + 0.35 * draws.field(exposure.size, 14)
        for _ in range(int(draws.generator.integers(1, 4))):
            side = 1 if draws.chance(0.5) else -1
            patch = ellipse(
                plane, side * draws.between(0.2, 0.65), draws.between(-0.5, 0.4),
                draws.between(0.08, 0.25), draws.between(0.08, 0.25), draws.between(0, 3),
            )  # fmt: skip
            density += draws.between(0.08, 0.3) * coverage(patch, 0.2) * cloud
    for dome in domes:
        if draws.chance(0.15):
            fluid = -dome - draws.between(0.03, 0.16)
            density += draws.between(0.15, 0.35) * coverage(fluid, 0.08)
    return density


def _lung_vessels(exposure: Exposure, shape: Draws, plane: Plane) -> Array:
    """Return vessels that fan out from both hila, in picture coordinates."""
    draws = exposure.person("vessels")
    hila = [_locate(plane, side * 0.17, shape.about(0.0, 0.03)) for side in (-1, 1)]
    fans = np.linspace(-1.35, 1.35, 7)
    start = np.repeat(np.array(hila), len(fans), axis=0)
    start = start + draws.generator.normal(0, (0.02, 0.06), start.shape)
    heading = np.concatenate([np.pi + fans, fans])
    turn = draws.generator.normal(0, 0.45, len(heading))
    trunks = strokes.grow(
        draws, start=start, heading=heading + turn / 2,
        length=draws.generator.uniform(0.3, 0.6, 14),
        radius=draws.generator.uniform(0.008, 0.028, 14), bend=-turn, wander=0.25,
        size=exposure.size, taper=0.2,
    )  # fmt: skip
    twigs = strokes.branch(
        draws, trunks, 3, length=0.2, thinner=0.7, wander=0.1, size=exposure.size
    )
    canvas = np.zeros_like(plane.x)
    strokes.stamp(canvas, trunks)
    strokes.stamp(canvas, twigs, 0.6)
    return canvas


def _locate(plane: Plane, x: float, y: float) -> tuple[float, float]:
    """Return where in the picture a point of the template has come to lie."""
    nearest = int(np.argmin((plane.x - x) ** 2 + (plane.y - y) ** 2))
    size = plane.x.shape[0]
    row, column = divmod(nearest, size)
    return (2 * column + 1) / size - 1, (2 * row + 1) / size - 1


_LETTERS = {
    "L": ((0.0, -1.0), (0.0, 1.0), (1.0, 1.0)),
    "R": ((0.0, 1.0), (0.0, -1.0), (0.9, -1.0), (0.9, 0.0), (0.0, 0.0), (0.9, 1.0)),
}


def _add_hardware(density: Array, exposure: Exposure) -> None:
    """Add the side marker and, on some, a lead with its electrode."""
    draws = exposure.moment("hardware")
    size = exposure.size
    canvas = np.zeros_like(density)
    letter = "R" if draws.chance(0.5) else "L"
    x = draws.between(-0.9, -0.8) if letter == "R" else draws.between(0.75, 0.85)
    corners = np.array(_LETTERS[letter]) * (0.06, 0.07) + (x, draws.between(-0.9, -0.7))
    strokes.stamp(canvas, strokes.polyline(corners, 0.014, size))
    for _ in range(2):
        if draws.chance(0.3):
            start = np.array([[draws.between(-0.6, 0.6), draws.between(-0.3, 0.5)]])
            lead = strokes.grow(
                draws, start=start, heading=np.array([draws.between(-np.pi, np.pi)]),
                length=np.array([1.6]), radius=np.array([0.009]),
                bend=np.array([draws.between(-2, 2)]), wander=0.4, size=size, taper=1.0,
            )  # fmt: skip
            strokes.stamp(canvas, lead, 0.7)
            electrode = np.concatenate([start, start + 0.01])
            strokes.stamp(canvas, strokes.polyline(electrode, 0.04, size), 0.8)
    np.maximum(density, 0.95 * canvas, out=density)

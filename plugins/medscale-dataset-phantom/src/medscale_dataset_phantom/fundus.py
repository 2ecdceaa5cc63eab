"""The optic disc with its cup, as in the green channel of a fundus photograph.

Vessels leave the disc over the edges of disc and cup and hide parts of both. Exudates, scars
beside the disc and the reflection of the lens are as bright as the disc.
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
    coverage,
    ellipse,
    paint,
    true_distance,
)

RIM, CUP = 1, 2
TASKS = {
    "disc": Task(labels=(RIM, CUP), main=True, description="optic disc with its cup"),
    "cup": Task(labels=(CUP,), description="optic cup"),
}
FIELD_OF_VIEW_MM = 7.2


def render(exposure: Exposure) -> Picture:
    """Draw one eye; images of one person show the right and the left one in turn."""
    shape, look = exposure.person("eye"), exposure.person("tissue")
    pose = exposure.moment("pose")
    # Towards the nose, on the picture's x axis: the disc lies on that side of the macula.
    nasal = 1 if look.chance(0.5) == (exposure.index % 2 == 0) else -1
    warped = deformed_plane(exposure, 0.03)
    x = nasal * shape.about(0.3, 0.12) + pose.about(0, 0.05)
    y = shape.about(0.0, 0.09) + pose.about(0, 0.05)
    plane = warped.local(x, y, shape.about(0, 0.15))
    disc, cup = _disc_and_cup(plane, shape, nasal, exposure)

    square = Plane.square(exposure.size)
    canvas = _retina(exposure, square, plane, look, nasal)
    _paint_lesions(canvas, exposure, disc)
    _paint_disc(canvas, plane, exposure, look, disc, cup, nasal)
    inside = disc < 0
    centre = np.array([square.x[inside].mean(), square.y[inside].mean()])
    vessels = _vessels(exposure, centre, nasal)
    canvas *= 1 - look.between(0.3, 0.5) * vessels

    aperture = ellipse(square, pose.about(0, 0.02), pose.about(0, 0.02), 0.97, 0.97)
    radius = np.hypot(square.x - pose.about(0, 0.3), square.y - pose.about(0, 0.3))
    canvas *= 1 - look.between(0.1, 0.3) * radius**2
    if pose.chance(0.35):  # a crescent of stray light at the border
        glare = ellipse(square, pose.between(-0.4, 0.4), pose.between(-0.4, 0.4), 0.95, 0.95)
        canvas += pose.between(0.1, 0.35) * np.clip(glare / 0.3, 0, 1)
    canvas *= coverage(aperture, 2 * square.pixel)
    image = develop(canvas, exposure, noise=0.014, bias=0.12, statistics="gaussian")
    label = np.zeros(disc.shape, np.uint8)
    label[disc < 0] = RIM
    label[cup < 0] = CUP
    return Picture(image, label, structures=2)


def _disc_and_cup(
    plane: Plane, shape: Draws, nasal: int, exposure: Exposure
) -> tuple[Array, Array]:
    """Return the disc and, everywhere inside it, the cup."""
    radius, tall = shape.about(0.245, 0.025), np.exp(shape.about(0.05, 0.04))
    disc = ellipse(plane, 0, 0, radius / tall, radius * tall, shape.about(0, 0.3))
    disc = disc + 0.006 * shape.spread * shape.field(exposure.size, 8)
    ratio = shape.about(0.53, 0.09)
    tall = np.exp(shape.about(0.06, 0.05))
    cup = ellipse(
        plane, -nasal * radius * shape.about(0.08, 0.06), radius * shape.about(0.0, 0.08),
        radius * ratio / tall, radius * ratio * tall, shape.about(0, 0.3),
    )  # fmt: skip
    cup = cup + 0.006 * shape.spread * shape.field(exposure.size, 10)
    pixel = plane.pixel
    disc = true_distance(disc, pixel)
    # A rim of a pixel and a half stays however deep the cup is.
    return disc, np.maximum(true_distance(cup, pixel), disc + 1.5 * pixel)


def _retina(exposure: Exposure, square: Plane, plane: Plane, look: Draws, nasal: int) -> Array:
    """Return the ground: pigment, choroidal vessels and the dark macula."""
    size = exposure.size
    pigment = exposure.person("pigment")
    ground = np.full_like(square.x, look.between(0.34, 0.5))
    choroid = 1 - np.abs(pigment.field(size, 11))
    ground *= 1 + look.between(0.01, 0.07) * choroid + 0.05 * pigment.field(size, 4)
    ground *= 1 + 0.04 * exposure.moment("grain").field(size, 48)
    away = np.hypot(plane.x + nasal * look.about(0.95, 0.05), plane.y - look.about(0.1, 0.04))
    ground *= 1 - look.between(0.2, 0.4) * np.exp(-((away / 0.28) ** 2))
    # Nerve fibres brighten the retina above and below the disc.
    arch = np.exp(-((np.hypot(plane.x, 0.6 * plane.y) / 0.45) ** 2))
    ground *= 1 + look.between(0.02, 0.18) * arch
    return ground


def _paint_lesions(canvas: Array, exposure: Exposure, disc: Array) -> None:
    """Paint exudates, cotton-wool spots and haemorrhages away from the disc."""
    draws = exposure.moment("lesions")
    square = Plane.square(exposure.size)
    clear = disc > 0.1
    for _ in range(int(draws.generator.integers(0, 4))):
        x, y = draws.between(-0.8, 0.8), draws.between(-0.8, 0.8)
        spread, count = draws.between(0.05, 0.18), int(draws.generator.integers(4, 18))
        dots = draws.generator.normal((x, y), spread, (count, 2))
        sizes = draws.generator.uniform(0.008, 0.03, (count, 1))
        flat = np.zeros((count, 1))
        spots = np.zeros_like(canvas)
        strokes.stamp(spots, strokes.Curves(dots[:, None], flat, sizes))
        value = draws.between(0.7, 0.95) if draws.chance(0.65) else 0.18
        paint(canvas, spots * clear, value)
    for _ in range(int(draws.generator.integers(0, 3))):
        patch = ellipse(
            square, draws.between(-0.8, 0.8), draws.between(-0.8, 0.8), draws.between(0.05, 0.2),
            draws.between(0.05, 0.16), draws.between(0, 3),
        )  # fmt: skip
        cover = coverage(patch, draws.between(0.05, 0.2)) * draws.between(0.4, 0.9)
        paint(canvas, cover * clear, draws.between(0.55, 0.9))


def _paint_disc(
    canvas: Array, plane: Plane, exposure: Exposure, look: Draws, disc: Array, cup: Array,
    nasal: int,
) -> None:  # fmt: skip
    """Paint scar, rim and cup."""
    pixel = plane.pixel
    ground = float(canvas[disc < 0].mean())
    if look.chance(0.55):  # a scar that makes the disc look larger than it is
        side = look.about(0.0, 0.6)
        shift = look.between(0.03, 0.09)
        dx, dy = -nasal * shift * np.cos(side), shift * np.sin(side)
        scar = ellipse(plane, dx, dy, 0.25, 0.26)
        scar = scar + 0.02 * exposure.person("scar").field(exposure.size, 8)
        paint(canvas, look.between(0.4, 0.9) * coverage(scar, 4 * pixel), look.between(0.55, 0.8))
    # The rim is paler towards the macula.
    rim = (ground + look.between(0.17, 0.32)) * (1 - nasal * look.between(0.2, 0.5) * plane.x)
    paint(canvas, coverage(disc, look.between(1.5, 5) * pixel), rim)
    pallor = look.between(0.12, 0.3)
    floor = np.clip(-cup / 0.1, 0, 1)
    paint(canvas, coverage(cup, look.between(2, 6) * pixel), rim + pallor * (0.75 + 0.25 * floor))
    canvas *= 1 + 0.05 * exposure.person("fibres").field(exposure.size, 30)


def _vessels(exposure: Exposure, centre: Array, nasal: int) -> Array:
    """Return the coverage of the retinal vessels, arcades around the macula first."""
    draws, size = exposure.person(f"vessels {nasal}"), exposure.size
    generator = draws.generator
    canvas = np.zeros((size, size))
    # Angles from the temporal direction, up and down; arteries and veins run in pairs.
    leave = np.array([1.25, 1.5, -1.25, -1.5, 2.3, 2.6, -2.3, -2.6])
    curl = np.array([-1.1, -1.0, 1.1, 1.0, 0.2, 0.1, -0.2, -0.1])
    leave = leave + generator.normal(0, 0.15, 8)
    curl = curl + generator.normal(0, 0.2, 8)
    width = np.where(np.arange(8) % 2, 0.022, 0.016) * generator.uniform(0.8, 1.2, 8)
    width[4:] *= 0.75
    start = centre + generator.normal(0, 0.03, (8, 2)) + (nasal * 0.03, 0.0)
    # Mirror: the temporal direction is -x where the nose is at +x.
    heading = np.where(nasal > 0, np.pi - leave, leave)
    trunks = strokes.grow(
        draws, start=start, heading=heading, length=generator.uniform(1.0, 1.6, 8),
        radius=width, bend=-nasal * curl, wander=0.16, size=size,
    )  # fmt: skip
    twigs = strokes.branch(draws, trunks, 5, length=0.55, thinner=0.65, wander=0.2, size=size)
    ends = strokes.branch(draws, twigs, 2, length=0.25, thinner=0.7, wander=0.15, size=size)
    strokes.stamp(canvas, ends, 0.5)
    strokes.stamp(canvas, twigs, 0.8)
    strokes.stamp(canvas, trunks)
    return canvas

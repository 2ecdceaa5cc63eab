"""RegDA with its own registrar: geodesics of real codes, on phantoms."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medscale.fields.interpolation import resized
from medscale.fields.jacobian import jacobian_determinant
from medscale.fields.warp import compose, warp
from medscale.protocols import Batch, Dataset, PluginContext, PoolView
from medscale.registry import default_registry
from medscale.study.construction import construct
from medscale.study.plan import PluginIdentity
from medscale.training.augmentation import arm_generator, augment, draw
from medscale.training.options import AugmentationOptions
from medscale_augmenter_reg.augmenter import RegDA

COUNT = 6
SIZE = 64
LDDMM = {"iterations": (12, 8), "frequencies": 8}
STILL = AugmentationOptions(flip=0, affine=0, intensity=0)


@lru_cache
def _phantoms() -> tuple[Tensor, Tensor]:
    """Return images (COUNT, 1, SIZE, SIZE) of different people's hearts, and masks."""
    plugin = default_registry().load("dataset", "phantom")
    options = {"subjects": COUNT, "size": SIZE}
    dataset: Dataset = construct(plugin, options, "phantom", PluginContext())[0]
    samples = [dataset.load(case) for case in dataset.cases()]
    images = torch.stack([torch.tensor(sample.image).float() for sample in samples])
    assert samples[0].label is not None
    masks = torch.stack([torch.tensor(sample.label > 0).float()[None] for sample in samples])
    low, high = (images.flatten(1).quantile(q, dim=1).view(-1, 1, 1, 1) for q in (0.005, 0.995))
    return ((images - low) / (high - low)).clamp(0, 1), masks


def _pool(subset: int = 2) -> PoolView:
    images, masks = _phantoms()
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(COUNT),
        names=tuple(f"case{number}" for number in range(COUNT)),
        subset=tuple(range(subset)),
        masks=masks[:subset],
        positions=torch.full((COUNT,), float("nan")),
        content="",
        seed=0,
    )


def _reg(folder: Path, **options: Any) -> RegDA:
    context = PluginContext(cache=folder)

    def load_used(option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
        return construct(default_registry().load(kind, name), LDDMM, name, context)

    plugin = default_registry().load("augmenter", "reg")
    reg: RegDA = construct(plugin, options, "reg", context, load_used)[0]
    return reg


def _batch(rows: list[int]) -> Batch:
    images, masks = _phantoms()
    return Batch(images[rows], masks[rows], torch.tensor(rows))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which another process has registered what these tests need."""
    folder = tmp_path_factory.mktemp("filled")
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def samples(folder: Path) -> Tensor:
    """Return some samples, registering what is missing in that cache."""
    torch.set_num_threads(1)
    reg = _reg(folder, targets_per_source=3)
    reg.fit(_pool())
    assert reg.describe()["images without a deformation"] == 0, reg.describe()
    return torch.cat([reg.displacements(_batch([0, 1, 1]), _generator(seed)) for seed in range(3)])


def test_samples_are_the_same_whoever_registered_and_when(filled: Path, tmp_path: Path) -> None:
    told = torch.load(filled / "samples.pt", weights_only=True)
    blocks = sorted(filled.rglob("committed.json"))
    # Far less than what the store's rounding does: codes are used as they are stored.
    torch.testing.assert_close(samples(filled), told, atol=1e-4, rtol=0)
    assert sorted(filled.rglob("committed.json")) == blocks
    torch.testing.assert_close(samples(tmp_path), told, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("grid", "tolerance"), [(SIZE, 1e-3), (SIZE // 2, 0.3)])
@pytest.mark.parametrize("extent", [0.4, 1.0])
def test_a_sample_is_the_registrar_s_map_some_way_along(
    filled: Path, grid: int, tolerance: float, extent: float
) -> None:
    view = _pool()
    options = {"extent_min": extent, "extent_max": extent, "grid": grid}
    reg = _reg(filled, targets_per_source=3, mix=1, **options)
    reg.fit(view)
    codes = torch.from_numpy(reg.registration.read(view, reg.wanted(view, [0]))[0].codes)
    registrar = reg.registration.registrar.plugin
    expected = registrar.displacement(codes=extent * codes, shape=(SIZE, SIZE))
    field = reg.displacements(_batch([0] * 8), _generator())
    assert field.shape == (8, 2, grid, grid)
    nearest = []
    for sample in resized(field, (SIZE, SIZE)):
        off = (expected - sample).norm(dim=1).flatten(1).amax(1)
        nearest.append(int(off.argmin()))
        assert float(off.min()) < tolerance  # pixels
    assert len(set(nearest)) > 1
    assert float(expected.norm(dim=1).flatten(1).amax(1).min()) > 10 * tolerance


@pytest.mark.parametrize("shape", [(51, 39), (63, 40)])
def test_images_of_other_proportions_are_deformed_too(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    images, masks = (part[:3, :, : shape[0], : shape[1]] for part in _phantoms())
    view = replace(
        _pool(1),
        take=lambda positions: images[list(positions)],
        indices=torch.arange(3),
        names=("a", "b", "c"),
        masks=masks[:1],
        positions=torch.full((3,), float("nan")),
    )
    options = {"extent_min": 1, "extent_max": 1, "mix": 1, "gate": {"least_gain": 0}}
    reg = _reg(tmp_path, targets_per_source=1, **options)
    reg.fit(view)
    codes = torch.from_numpy(reg.registration.read(view, reg.wanted(view, [0]))[0].codes)
    expected = reg.registration.registrar.plugin.displacement(codes=codes, shape=shape)
    field = reg.displacements(Batch(images[:1], masks[:1], torch.tensor([0])), _generator())
    assert float(expected.norm(dim=1).max()) > 2
    torch.testing.assert_close(resized(field, shape), expected, atol=0.3, rtol=0)


def test_halfway_is_not_half_the_displacement(filled: Path) -> None:
    view = _pool()
    fields = []
    for extent in (0.5, 1.0):
        reg = _reg(filled, targets_per_source=3, mix=1, extent_min=extent, extent_max=extent)
        reg.fit(view)
        fields.append(reg.displacements(_batch([0] * 4), _generator()))
    # Walking a geodesic twice half the way composes; it does not add.
    assert float((fields[0] - fields[1] / 2).norm(dim=1).max()) > 0.1


def test_a_batch_gives_what_its_samples_give(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reg = _reg(filled, targets_per_source=3)
    reg.fit(_pool())
    registrar = reg.registration.registrar.plugin
    shoot, shot = registrar.displacement, []

    def noting(*, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        shot.append(codes)
        moved: Tensor = shoot(codes=codes, shape=shape)
        return moved

    monkeypatch.setattr(registrar, "displacement", noting)
    field = reg.displacements(_batch([0, 1, 5, 1, 0]), _generator())
    (codes,) = shot
    assert len(codes) == 4  # the sixth image is none that was fitted
    assert not field[2].any()
    grid = tuple(field.shape[2:])
    for sample, code in zip(field[[0, 1, 3, 4]], codes, strict=True):
        alone = shoot(codes=code[None], shape=grid)[0] * SIZE / grid[0]
        torch.testing.assert_close(sample, alone, atol=1e-4, rtol=0)


def test_no_sample_folds(filled: Path) -> None:
    reg = _reg(filled, targets_per_source=3, mix=3)
    reg.fit(_pool())
    least = 1.0
    for seed in range(8):
        field = reg.displacements(_batch([0, 1] * 16), _generator(seed))
        least = min(least, float(jacobian_determinant(resized(field, (SIZE, SIZE))).min()))
        assert float(field.norm(dim=1).amax()) > 1
    assert least > 0


def test_red_and_reg_are_one_deformation(filled: Path) -> None:
    red = construct(
        default_registry().load("augmenter", "red"), {"prob": 1}, "red", PluginContext()
    )[0]
    reg = _reg(filled, targets_per_source=3)
    reg.fit(_pool())
    batch = _batch([0, 1])
    together = augment(batch, [red, reg], STILL, _generator())
    generator = _generator()
    # The baseline draws first, whatever its options.
    draw(len(batch.images), 2, STILL, generator)
    generator = arm_generator(generator)
    # What is in the output's frame comes last, wherever it stands in the arm.
    then, first = red.displacements(batch, generator), reg.displacements(batch, generator)
    first = resized(first, (SIZE, SIZE))
    once = warp(batch.images, compose(first, then))
    torch.testing.assert_close(together.images, once, atol=1e-3, rtol=0)
    masks = (warp(batch.masks, compose(first, then)) >= 0.5).float()
    assert float((together.masks != masks).float().mean()) < 1e-3
    # Resampled twice, the texture would be blurred.
    twice = warp(warp(batch.images, first), then)
    assert float((twice - once).abs().mean()) > 5 * float((together.images - once).abs().mean())
    assert float(once.diff(dim=2).abs().mean()) > float(twice.diff(dim=2).abs().mean())


if __name__ == "__main__":
    torch.save(samples(Path(sys.argv[1])), Path(sys.argv[1], "samples.pt"))

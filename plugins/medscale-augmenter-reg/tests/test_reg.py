"""RegDA mixes the right registrations: of whom, towards whom, how many and how far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.protocols import Batch, PluginContext, PoolView, UsedPlugin
from medscale.testing.images import blobs
from medscale_augmenter_reg.augmenter import RegDA
from medscale_augmenter_reg.config import RegOptions

COUNT = 8
SHAPE = (24, 16)
OPEN = {
    "least_gain": -2,
    "least_similarity": -1,
    "least_jacobian": -1e6,
    "largest_jacobian": 1e6,
    "largest_length": 1e6,
    "largest_pull": 1e6,
}
"""A gate that lets everything through."""


class Ledger:
    """A registrar whose codes say whose they are: row 0 names the moving image, row 1 the fixed.

    The displacement shifts by `step` times the number of the fixed image, and notes the codes.
    """

    def __init__(
        self, *, step: float = 0.01, fails: Iterable[int] = (), longest: float = math.inf
    ) -> None:
        self.step = step
        self.fails = set(fails)
        self.longest = longest
        self.shot: list[Tensor] = []

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        numbers = [_numbers(images) for images in (moving, fixed)]
        codes = torch.stack([torch.eye(COUNT)[number] for number in numbers], dim=1)
        codes[[int(number) in self.fails for number in numbers[1]]] = math.nan
        return codes

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        self.shot.append(codes)
        shift = self.step * shape[0] * (codes[:, 1] * torch.arange(COUNT)).sum(1)
        shift[codes[:, 1].sum(1) > self.longest] = math.nan
        field = codes.new_zeros(len(codes), len(shape), *shape)
        field += shift.view(-1, *[1] * (len(shape) + 1))
        return field


def _numbers(images: Tensor) -> Tensor:
    """Return which of the pool each image is: its first pixel says so."""
    return (images[:, 0, 0, 0] * COUNT).round().long()


def _pool(subset: Iterable[int] = (0, 1, 2)) -> PoolView:
    images, masks = blobs(SHAPE, COUNT)
    images[:, 0, 0, 0] = torch.arange(COUNT) / COUNT
    subset = tuple(subset)
    return PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(100, 100 + COUNT),
        names=tuple(f"case{number}" for number in range(COUNT)),
        subset=subset,
        masks=masks[list(subset)],
        positions=torch.full((COUNT,), math.nan),
        content="",
        seed=0,
    )


def _reg(folder: Path, registrar: Ledger | None = None, /, **options: Any) -> RegDA:
    config = validate(RegOptions, {"alignment": "none", "gate": OPEN} | options, "reg")
    used = UsedPlugin(plugin=registrar or Ledger(), identity={"name": "ledger"})
    return RegDA(config, PluginContext(cache=folder, uses={"registrar": used}))


def _batch(numbers: Iterable[int]) -> Batch:
    chosen = list(numbers)
    images, masks = blobs(SHAPE, COUNT)
    return Batch(images[chosen], masks[chosen], torch.tensor([100 + number for number in chosen]))


def _shares(reg: RegDA, ledger: Ledger, numbers: Iterable[int], seed: int = 0) -> Tensor:
    """Return (B, 2, COUNT) what samples of these images are made of."""
    ledger.shot.clear()
    reg.displacements(_batch(numbers), torch.Generator().manual_seed(seed))
    (codes,) = ledger.shot
    return codes


def test_samples_follow_the_registrations_of_their_own_image(tmp_path: Path) -> None:
    ledger, view = Ledger(), _pool()
    reg = _reg(tmp_path, ledger, targets_per_source=2, mix=2)
    reg.fit(view)
    wanted = reg.wanted(view, view.subset)
    numbers = [2, 0, 1, 1, 0, 2] * 20
    codes = _shares(reg, ledger, numbers)
    for number, (whose, towards) in zip(numbers, codes, strict=True):
        others = torch.ones(COUNT, dtype=torch.bool)
        others[number] = False
        assert not whose[others].any()
        assert set(towards.nonzero()[:, 0].tolist()) <= set(wanted[number])
    used = {target for _, towards in codes for target in towards.nonzero()[:, 0].tolist()}
    assert used == {target for targets in wanted.values() for target in targets}


def test_a_sample_is_a_convex_combination_some_way_along(tmp_path: Path) -> None:
    ledger = Ledger()
    reg = _reg(tmp_path, ledger, mix=3, extent_min=0, extent_max=1)
    reg.fit(_pool())
    shares = _shares(reg, ledger, [0] * 3000)[:, 1]
    assert (shares >= 0).all()
    extents = shares.sum(1)
    assert stats.kstest(extents, "uniform").pvalue > 0.01
    used = (shares > 0).sum(1)
    counts = torch.bincount(used, minlength=5)[1:4]
    assert counts.sum() == 3000
    assert stats.chisquare(counts).pvalue > 0.01
    # Every target has its turn.
    assert (
        stats.chisquare(torch.bincount((shares[used == 1] > 0).long().argmax(1))[3:]).pvalue > 0.01
    )
    # Dirichlet(1, …, 1): of two, either share is uniform; of three, one is Beta(1, 2).
    for number, law in ((2, stats.beta(1, 1)), (3, stats.beta(1, 2))):
        mixed = shares[used == number] / extents[used == number, None]
        first = mixed[torch.arange(len(mixed)), (mixed > 0).long().argmax(1)]
        assert stats.kstest(first, law.cdf).pvalue > 0.01


def test_how_far_is_an_option(tmp_path: Path) -> None:
    ledger = Ledger()
    reg = _reg(tmp_path, ledger, extent_min=-1, extent_max=2)
    reg.fit(_pool())
    extents = _shares(reg, ledger, [1] * 2000)[:, 1].sum(1)
    assert stats.kstest(extents, stats.uniform(-1, 3).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("targets", "expected"), [("external", range(3, 8)), ("subset", range(3)), ("pool", range(8))]
)
def test_targets_are_of_whom_the_option_says(
    tmp_path: Path, targets: str, expected: Iterable[int]
) -> None:
    ledger, view = Ledger(), _pool()
    reg = _reg(tmp_path, ledger, targets=targets, mix=1)
    reg.fit(view)
    for source in view.subset:
        towards = _shares(reg, ledger, [source] * 300)[:, 1]
        used = set(towards.nonzero()[:, 1].tolist())
        assert used == set(expected) - {source}


def test_targets_per_source_are_the_first_of_the_order(tmp_path: Path) -> None:
    view = _pool()
    few, many = (
        _reg(tmp_path, targets_per_source=count).wanted(view, view.subset) for count in (2, 4)
    )
    assert all(few[source] == list(many[source])[:2] for source in view.subset)
    assert all(len(targets) == 4 for targets in many.values())


def test_one_image_alone_has_nobody_to_follow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    config = validate(RegOptions, {"targets": "subset", "alignment": "none"}, "reg")
    used = UsedPlugin(plugin=Ledger(), identity={})
    reg = RegDA(config, PluginContext(cache=tmp_path, log=said.append, uses={"registrar": used}))
    reg.fit(_pool([4]))
    assert not reg.displacements(_batch([4, 4]), torch.Generator()).any()
    assert reg.describe()["pairs"] == 0
    assert reg.describe()["images without a deformation"] == 1
    assert len(said) == 1
    assert "reg leaves 1 of 1 training images undeformed" in said[0]


def test_the_gate_and_failures_turn_pairs_away(tmp_path: Path) -> None:
    # Towards image k the shift is k percent of the longer side along both axes.
    ledger = Ledger(fails=[6])
    reg = _reg(tmp_path, ledger, mix=1, gate=OPEN | {"largest_length": 0.05 * math.sqrt(2) * 1.01})
    reg.fit(_pool())
    assert set(_shares(reg, ledger, [0] * 200)[:, 1].nonzero()[:, 1].tolist()) == {3, 4, 5}
    assert reg.describe() == {
        "pairs": 15,
        "used": 9,
        "images without a deformation": 0,
        "turned away": {"failed": 3, "largest_length": 3},
    }


@pytest.mark.parametrize("options", [{"gate": OPEN | {"least_similarity": 1}}, {"prob": 0}])
def test_where_nothing_is_usable_nothing_is_deformed(
    tmp_path: Path, options: Mapping[str, Any]
) -> None:
    reg = _reg(tmp_path, **options)
    reg.fit(_pool())
    batch = _batch([0, 1, 2])
    field = reg.displacements(batch, torch.Generator().manual_seed(0))
    assert tuple(field.shape[:2]) == (3, 2)
    assert not field.any()
    changed = reg.augment(batch, torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed.images, batch.images, atol=1e-5, rtol=0)
    assert torch.equal(changed.masks, batch.masks)


def test_failed_registrations_leave_an_image_alone_and_only_that(tmp_path: Path) -> None:
    class Choosy(Ledger):
        def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
            codes = super().register(moving=moving, fixed=fixed)
            codes[_numbers(moving) == 1] = math.nan
            return codes

    reg = _reg(tmp_path, Choosy())
    reg.fit(_pool())
    assert reg.describe()["images without a deformation"] == 1
    field = reg.displacements(_batch([0, 1, 2, 1]), torch.Generator().manual_seed(0))
    assert field.flatten(1).any(1).tolist() == [True, False, True, False]


def test_a_code_without_a_map_goes_less_far(tmp_path: Path) -> None:
    fields = []
    for longest in (1.0, math.inf):
        reg = _reg(tmp_path, Ledger(longest=longest), extent_min=0, extent_max=2)
        reg.fit(_pool())
        fields.append(reg.displacements(_batch([0] * 40), torch.Generator().manual_seed(0)))
    assert fields[0].isfinite().all()
    shorter = fields[0].flatten(1).norm(dim=1) / fields[1].flatten(1).norm(dim=1)
    assert 5 < int((shorter < 1).sum()) < 35
    # Three quarters, once or several times.
    steps = shorter.log() / math.log(0.75)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((128, 128), (32, 32)), ((96, 80), (36, 30)), ((20, 16), (20, 16)), ((101, 72), (101, 72))],
)
def test_displacements_are_in_pixels_of_the_image_on_the_coarse_grid(
    tmp_path: Path, shape: tuple[int, int], grid: tuple[int, int]
) -> None:
    reg = _reg(tmp_path, mix=1, targets_per_source=1, extent_min=1, extent_max=1, grid=32)
    view = _pool()
    reg.fit(view)
    ((target,),) = reg.wanted(view, [0]).values()
    images = torch.zeros(1, 1, *shape)
    field = reg.displacements(Batch(images, images, torch.tensor([100])), torch.Generator())
    assert field.shape == (1, 2, *grid)
    # The registrar's shift is a share of the first side, in voxels of the grid it is asked for.
    expected = [0.01 * target * grid[0] * n / g for n, g in zip(shape, grid, strict=True)]
    torch.testing.assert_close(field[0, :, 0, 0], torch.tensor(expected))


def test_each_sample_is_deformed_with_that_probability(tmp_path: Path) -> None:
    reg = _reg(tmp_path, prob=0.3)
    reg.fit(_pool())
    field = reg.displacements(_batch([0] * 1000), torch.Generator().manual_seed(0))
    assert float(field.flatten(1).any(1).float().mean()) == pytest.approx(0.3, abs=0.05)


def test_neither_chance_nor_the_gate_shifts_a_stream(tmp_path: Path) -> None:
    states, fields = [], []
    for options in ({}, {"prob": 0}, {"prob": 0.5}, {"mix": 5}, {"gate": {"least_similarity": 1}}):
        reg = _reg(tmp_path, **options)
        reg.fit(_pool())
        generator = torch.Generator().manual_seed(3)
        fields.append(reg.displacements(_batch([0, 1, 2, 0, 1, 2]), generator))
        states.append(generator.get_state())
    assert all(torch.equal(states[0], state) for state in states)
    always, sometimes = fields[0], fields[2]
    moved = sometimes.flatten(1).any(1)
    assert 0 < int(moved.sum()) < 6
    assert torch.equal(sometimes[moved], always[moved])


def test_fitting_again_forgets_the_former_pool(tmp_path: Path) -> None:
    reg = _reg(tmp_path)
    reg.fit(_pool([0, 1]))
    reg.fit(_pool([5]))
    field = reg.displacements(_batch([0, 5]), torch.Generator().manual_seed(0))
    assert field.flatten(1).any(1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extent_min": 1, "extent_max": 0}, r"extent_max is 0, expected at least extent_min, 1"),
        ({"mix": 0}, r"reg\.mix got 0"),
        ({"targets": "others"}, r"reg\.targets got 'others'"),
        ({"targets_per_source": 0}, r"reg\.targets_per_source got 0"),
        ({"extent_max": "inf"}, r"reg\.extent_max got 'inf'"),
        ({"gate": {"least_gian": 1}}, r"reg\.gate\.least_gian: did you mean least_gain"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RegOptions, options, "reg")

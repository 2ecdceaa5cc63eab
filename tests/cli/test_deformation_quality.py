"""`preview` compares an arm's deformations with the stored ones of the same images."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from medscale.fields.quality import Gate
from medscale.fields.registration import PairRegistration
from medscale.protocols import Batch, PoolView, UsedPlugin
from medscale.study.plan import PlannedTrial, PluginIdentity
from medscale.testing.images import pool_of
from medscale_cli.deformation_quality import deformation_quality, registered_fields
from medscale_cli.run import Prepared, prepare
from medscale_cli.study_request import StudyRequest

OPEN = Gate(
    least_gain=-2,
    least_similarity=-1,
    least_jacobian=-1e6,
    largest_jacobian=1e6,
    largest_length=1e6,
    largest_pull=1e6,
)


def _stretched(slopes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (K, D, *shape) displacements along the first axis, of determinants 1 + slope."""
    moved = torch.zeros(len(slopes), len(shape), *shape)
    place = torch.arange(shape[0], dtype=torch.float32).view(-1, *[1] * (len(shape) - 1))
    moved[:, 0] = slopes.view(-1, *[1] * len(shape)) * place
    return moved


class Stretches:
    """Codes are slopes: the first pair of a block has 0, the next a half, and so on."""

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        return torch.arange(len(moving))[:, None] / 2

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        return _stretched(codes[:, 0], shape)


@dataclass
class Known:
    """An augmenter whose samples fold, every other one, and else leave the image alone."""

    registration: PairRegistration
    gate: Gate = OPEN
    fitted: list[tuple[int, ...]] = field(default_factory=list)
    asked: list[Batch] = field(default_factory=list)

    def wanted(self, view: PoolView, sources: Sequence[int]) -> Mapping[int, Sequence[int]]:
        count = len(view.indices)
        return {source: [(source + step) % count for step in (1, 2, 3)] for source in sources}

    def fit(self, view: PoolView) -> None:
        self.fitted.append(view.subset)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        raise NotImplementedError

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        self.asked.append(batch)
        slopes = torch.tensor([-2.0, 0.0]).repeat(len(batch.images))[: len(batch.images)]
        return _stretched(slopes, tuple(batch.images.shape[2:]))


def _known(folder: Path) -> Known:
    return Known(
        PairRegistration(
            registrar=UsedPlugin(plugin=Stretches(), identity={"name": "stretches"}),
            alignment="none",
            folder=folder,
            device="cpu",
        )
    )


def _slopes(fields: Mapping[int, Tensor]) -> dict[int, list[float]]:
    return {source: found[:, 0, 1, 0].tolist() for source, found in fields.items()}


def test_images_count_whose_pairs_are_all_stored(tmp_path: Path) -> None:
    known, view = _known(tmp_path), pool_of((16, 12), 6)
    wanted = known.wanted(view, range(6))
    assert registered_fields(known, view, wanted, 32, 8) == {}
    known.registration.fill(view, {0: wanted[0], 2: wanted[2], 4: wanted[4][:2]})
    fields = registered_fields(known, view, wanted, 32, 8)
    assert _slopes(fields) == {0: [0.0, 0.5, 1.0], 2: [0.0, 0.5, 1.0]}
    assert all(found.shape == (3, 2, 16, 12) for found in fields.values())


def test_no_more_are_taken_than_asked_for(tmp_path: Path) -> None:
    known, view = _known(tmp_path), pool_of((16, 12), 6)
    wanted = known.wanted(view, range(6))
    known.registration.fill(view, wanted)
    assert _slopes(registered_fields(known, view, wanted, 2, 2)) == {0: [0.0, 0.5], 1: [0.0, 0.5]}


def test_all_images_have_as_many(tmp_path: Path) -> None:
    known, view = _known(tmp_path), pool_of((16, 12), 6)
    wanted = {0: [1], 1: [2, 3], 2: [3, 4], 3: []}
    known.registration.fill(view, wanted)
    assert list(registered_fields(known, view, wanted, 32, 8)) == [1, 2]


def test_what_failed_or_the_gate_turns_away_is_left_out(tmp_path: Path) -> None:
    class Failing(Stretches):
        def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
            codes = super().register(moving=moving, fixed=fixed)
            codes[0] = math.nan
            return codes

    known, view = _known(tmp_path), pool_of((16, 12), 6)
    wanted = known.wanted(view, range(6))
    failing = UsedPlugin(plugin=Failing(), identity={"name": "stretches"})
    known.registration = replace(known.registration, registrar=failing)
    known.registration.fill(view, wanted)
    assert set(map(tuple, _slopes(registered_fields(known, view, wanted, 32, 8)).values())) == {
        (0.5, 1.0)
    }
    known.gate = OPEN.model_copy(update={"largest_jacobian": 1.6})
    assert set(map(tuple, _slopes(registered_fields(known, view, wanted, 32, 8)).values())) == {
        (0.5,)
    }
    known.gate = OPEN.model_copy(update={"largest_jacobian": 1.1})
    assert registered_fields(known, view, wanted, 32, 8) == {}


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Two arms on phantoms, prepared as `preview` does."""
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    request = StudyRequest(
        study={
            "dataset": "phantom",
            "task": "lv",
            "shape": "32",
            "aug": "reg,red,red+reg",
            "sizes": "2",
            "replicates": "1",
        },
        preset="default",
        file=None,
        settings=("phantom.subjects=14", "phantom.size=64", "reg.extent_max=0.5", "reg.prob=0.5"),
        data=None,
        out=None,
        device="cpu",
        jobs=1,
        threads=1,
        executor="serial",
    )
    return prepare(request, Console(quiet=True))


def _trial(prepared: Prepared, arm: str) -> PlannedTrial:
    (trial,) = (trial for trial in prepared.study.trials if trial.arm == arm)
    return trial


def test_known_deformations_have_the_numbers_they_should(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, made = _known(tmp_path / "fields"), []

    def reconstruct(registry: Any, kind: str, identity: PluginIdentity, context: Any) -> Known:
        made.append(identity)
        return known

    # What is first imported meanwhile would keep the stand-in for all tests that follow.
    importlib.import_module("medscale.study.trial")
    monkeypatch.setattr("medscale.study.construction.reconstruct", reconstruct)
    trial = _trial(prepared, "reg")
    # Nothing is stored, and nothing is registered for it.
    assert deformation_quality(prepared, trial) is None
    assert known.fitted == []

    views: list[PoolView] = []
    wanted = known.wanted

    def filling(view: PoolView, sources: Sequence[int]) -> Mapping[int, Sequence[int]]:
        pairs = wanted(view, sources)
        known.registration.fill(view, {source: pairs[source] for source in (1, 3)})
        views.append(view)
        return pairs

    monkeypatch.setattr(known, "wanted", filling)
    quality = deformation_quality(prepared, trial)
    assert quality is not None
    # It goes all the way, and with every sample, as registered deformations do.
    options = made[-1].options
    assert (options["extent_min"], options["extent_max"], options["prob"]) == (1, 1, 1)
    # Three samples of each of the two images that have registered ones.
    assert known.fitted == [(1, 3)]
    (batch,) = known.asked
    assert batch.indices.tolist() == [
        int(views[0].indices[source]) for source in (1, 1, 1, 3, 3, 3)
    ]
    assert quality.sampled.folding == 0.5
    assert quality.sampled.roughness == pytest.approx(math.sqrt(2))
    assert quality.sampled.jacobian_spread == pytest.approx(0, abs=1e-5)
    # Slopes -2, 0, -2 of the one image, and 0, -2, 0 of the other.
    rms = math.sqrt(sum(row**2 for row in range(32)) / 32) / 32
    assert quality.sampled.diversity == pytest.approx(rms * 4 / 3, rel=1e-4)
    assert quality.registered.folding == 0
    # Slopes 0, ½ and 1: log2 of the determinants 1, 1½ and 2.
    logarithms = torch.tensor([0.0, math.log2(1.5), 1.0])
    assert quality.registered.jacobian_spread == pytest.approx(
        float(logarithms.std(correction=0)), abs=1e-3
    )
    assert quality.registered.roughness == pytest.approx(math.sqrt((0 + 0.25 + 1) / 3))
    assert quality.registered.diversity == pytest.approx(rms * (0.5 + 0.5 + 1) / 3, rel=1e-4)
    assert quality.fields.distance > quality.fields.expected


@pytest.mark.parametrize("arm", ["red", "red+reg"])
def test_an_arm_that_is_no_single_learned_deformation_has_no_table(
    prepared: Prepared, arm: str
) -> None:
    assert deformation_quality(prepared, _trial(prepared, arm)) is None

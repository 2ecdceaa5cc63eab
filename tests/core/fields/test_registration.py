"""Pairs are registered once, stored as what they are, and read back as such."""

from __future__ import annotations

import math
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import dialogue
from tests.core.fields import toy_registration
from tests.core.fields.toy_registration import (
    COUNT,
    Centres,
    centres,
    everything,
    registration,
    spots,
    view_of,
)
from tests.dialogue import go, line

from medscale.errors import StoreError
from medscale.fields.quality import Gate
from medscale.fields.registration import PairRegistration
from medscale.fields.store import Pairs
from medscale.protocols import PoolView

PAIRS = COUNT * (COUNT - 1)
WANTED = {0: [3, 1, 7], 4: [0], 5: [11, 2], 6: []}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every stored file but locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "locks" not in path.parts
    }


def filled(
    pairs: PairRegistration, view: PoolView, wanted: Mapping[int, Sequence[int]]
) -> dict[int, Pairs]:
    """Register what is missing, and read it all."""
    pairs.fill(view, wanted)
    return pairs.read(view, wanted)


def test_what_is_wanted_is_registered_and_nothing_else(tmp_path: Path) -> None:
    toy, view = Centres(), view_of(spots())
    pairs = registration(tmp_path, toy)
    assert pairs.fill(view, WANTED) == 6
    assert sorted(toy.seen) == [(0, 1), (0, 3), (0, 7), (4, 0), (5, 2), (5, 11)]
    store = pairs.store(view)
    for source in range(COUNT):
        absent = store.missing(view.keys[source], view.keys)
        expected = [t for t in range(COUNT) if t not in WANTED.get(source, [])]
        assert absent == [view.keys[target] for target in expected]
    assert store.verify() == []


def test_a_second_fill_does_nothing(tmp_path: Path) -> None:
    view = view_of(spots())
    registration(tmp_path).fill(view, WANTED)
    before = contents(tmp_path)
    again = Centres()
    assert registration(tmp_path, again).fill(view, WANTED) == 0
    assert again.seen == []
    assert contents(tmp_path) == before
    # Where a pair is new, its block is done, and nothing else.
    assert registration(tmp_path, again).fill(view, {**WANTED, 0: [3, 8, 1]}) == 3
    assert sorted(again.seen) == [(0, 1), (0, 3), (0, 8)]


def test_the_same_pairs_are_registered_together_whatever_is_there(tmp_path: Path) -> None:
    class Batches(Centres):
        def register(self, *, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
            before = len(self.seen)
            codes = super().register(moving=moving, fixed=fixed)
            batches.append([target for _, target in self.seen[before:]])
            return codes

    images = spots(40, (84, 16))
    order = everything(40)[0]
    for known in ([], order[:20], order[3:5]):
        batches: list[list[int]] = []
        folder = tmp_path / str(len(known))
        registration(folder).fill(view_of(images), {0: known})
        registration(folder, Batches()).fill(view_of(images), {0: order})
        assert all(batch in [order[:16], order[16:32], order[32:]] for batch in batches)
        assert order[32:] in batches


def test_every_code_is_of_its_own_pair(tmp_path: Path) -> None:
    # More targets than fit into one batch for some sources, and a few for others.
    images = spots(40, (84, 16))
    every = everything(40)
    view, wanted = view_of(images), {**{s: every[s][s : s + 3] for s in range(36)}, 5: every[5]}
    wanted[17] = every[17]
    found = filled(registration(tmp_path), view, wanted)
    place = centres(images).numpy()
    for source, targets in wanted.items():
        codes = found[source].codes
        assert codes.shape == (len(targets), 2, 2)
        np.testing.assert_allclose(codes[:, 0], place[[source] * len(targets)], atol=5e-4)
        np.testing.assert_allclose(codes[:, 1], place[targets], atol=5e-4)


def test_pairs_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    view = view_of(spots())
    found = filled(registration(tmp_path), view, WANTED)
    assert sorted(found) == [0, 4, 5]  # a source without targets has nothing to read
    place = centres(spots()).numpy()
    np.testing.assert_allclose(found[0].codes[:, 1], place[WANTED[0]], atol=5e-4)
    assert registration(tmp_path).fill(view, WANTED) == 0


def test_quality_is_kept_for_the_gate(tmp_path: Path) -> None:
    view = view_of(spots())
    found = filled(registration(tmp_path), view, {0: [1, 5]})[0]
    assert set(Gate().reasons(found.quality)) == set(Gate.model_fields)
    assert all(np.isfinite(numbers).all() for numbers in found.quality.values())
    # The spots lie (2, 1) and (10, 5) pixels apart.
    longest = max(spots().shape[2:])
    expected = [math.hypot(2, 1) / longest, math.hypot(10, 5) / longest]
    np.testing.assert_allclose(found.quality["largest_length"], expected, rtol=1e-3)
    assert (found.quality["similarity_after"] > found.quality["similarity_before"]).all()


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_a_failed_pair_is_stored_as_failed_and_not_tried_again(
    tmp_path: Path, spoilt: float
) -> None:
    view = view_of(spots())
    bad = Centres(spoilt={(0, 1): spoilt, (5, 2): spoilt})
    found = filled(registration(tmp_path, bad), view, WANTED)
    assert found[0].failed.tolist() == [False, True, False]
    assert found[5].failed.tolist() == [False, True]
    assert np.isnan(found[0].codes[1]).all()
    assert all(np.isnan(numbers[1]) for numbers in found[0].quality.values())
    assert np.isfinite(found[0].codes[[0, 2]]).all()
    good = Centres()
    assert filled(registration(tmp_path, good), view, WANTED)[0].failed.tolist() == [
        False,
        True,
        False,
    ]
    assert good.seen == []
    assert registration(tmp_path).store(view).info().failed == 2


def test_a_code_that_is_half_a_number_failed(tmp_path: Path) -> None:
    class Half(Centres):
        def register(self, *, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
            codes = super().register(moving=moving, fixed=fixed)
            codes[:, 1, 0] = math.nan
            return codes

    found = filled(registration(tmp_path, Half()), view_of(spots()), {0: [1]})[0]
    assert found.failed.all()
    assert np.isnan(found.codes).all()


def test_progress_rises_to_the_total(tmp_path: Path) -> None:
    view = view_of(spots())
    told: list[tuple[int, int]] = []
    registration(tmp_path).fill(view, WANTED)
    registration(tmp_path).fill(view, everything(), lambda done, all_: told.append((done, all_)))
    # Every block lacks a pair at least, and is done whole.
    assert {total for _, total in told} == {PAIRS}
    done = [count for count, _ in told]
    assert done[0] == 0
    assert done == sorted(done)
    assert done[-1] == PAIRS
    assert len(set(done)) > 3


def test_a_pool_reads_and_fills_its_own_images_alone(tmp_path: Path) -> None:
    everyone, pool = view_of(spots()), view_of(spots()[:6])
    registration(tmp_path).fill(everyone, everything())
    store = registration(tmp_path).store(pool)
    # They are stored, but for others.
    with pytest.raises(StoreError, match="is not in the pool of 6 images"):
        store.read(everyone.keys[0], [everyone.keys[7]])
    with pytest.raises(StoreError, match="is not in the pool of 6 images"):
        store.missing(everyone.keys[7], [everyone.keys[0]])
    with pytest.raises(IndexError):
        registration(tmp_path).fill(pool, {0: [7]})
    # What both have is shared.
    assert registration(tmp_path).fill(pool, everything(6)) == 0


def test_equal_images_are_registered_once(tmp_path: Path) -> None:
    images = spots()
    images[1] = images[0]
    toy = Centres()
    pairs = registration(tmp_path, toy)
    found = filled(pairs, view_of(images), {0: [4, 5], 1: [4, 5]})
    assert sorted(toy.seen) == [(0, 4), (0, 5)]
    np.testing.assert_array_equal(found[0].codes, found[1].codes)


def test_whatever_makes_other_codes_has_a_store_of_its_own(tmp_path: Path) -> None:
    view = view_of(spots())
    roots = [
        registration(tmp_path).store(view).root,
        registration(tmp_path, alignment="similarity").store(view).root,
        registration(tmp_path, alignment="translation").store(view).root,
        registration(tmp_path, options={"weight": 2}).store(view).root,
        registration(tmp_path).store(view_of(spots(shape=(40, 16)))).root,
    ]
    assert len(set(roots)) == len(roots)
    assert registration(tmp_path).store(view_of(spots(5))).root == roots[0]


def test_images_of_every_shape_and_dimension_are_kept_in_one_folder(tmp_path: Path) -> None:
    volumes = torch.zeros(3, 1, 8, 8, 8)
    for number in range(3):
        volumes[number, 0, number + 2, 3, 4] = 1.0

    class Anywhere(Centres):
        def register(self, *, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
            return torch.stack([centres(moving), centres(fixed)], dim=1)

    for images in (spots(3), spots(3, (40, 16)), volumes):
        found = filled(registration(tmp_path, Anywhere()), view_of(images), {0: [1, 2]})[0]
        assert found.codes.shape == (2, 2, images.ndim - 2)


def test_fixed_images_are_brought_into_the_pose_of_the_moving_one(tmp_path: Path) -> None:
    place = torch.arange(48.0)
    images = torch.stack(
        [
            torch.exp(-((place[:, None] - row).square() + (place - 24).square()) / 60)[None]
            for row in (20.0, 26.0)
        ]
    )
    shifts = {}
    for alignment in ("none", "translation"):
        pairs = registration(tmp_path, alignment=alignment)
        moving, fixed = images[:1], images[1:]
        codes, posed, _ = pairs.register(moving, fixed)
        shifts[alignment] = abs(float(codes[0, 0, 0] - codes[0, 1, 0])) * 48
        same = torch.equal(posed, fixed)
        assert same == (alignment == "none")
    assert shifts["none"] == pytest.approx(6, abs=0.5)
    assert shifts["translation"] < 1


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that fills the store when it is told to."""
    return dialogue.start(str(toy_registration.__file__), str(folder), str(seconds))


def rest(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().split("\n")[:-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed process stores."""
    folder = tmp_path_factory.mktemp("whole")
    assert registration(folder).fill(view_of(spots()), everything()) == PAIRS
    return contents(folder)


def test_two_processes_share_the_work(whole: dict[str, bytes], tmp_path: Path) -> None:
    with start(tmp_path, 0.1) as one, start(tmp_path, 0.1) as two:
        assert line(one) == line(two) == "ready"
        go(one)
        go(two)
        told = [rest(one), rest(two)]
    assert (one.returncode, two.returncode) == (0, 0)
    made = [int(lines[-1].removeprefix("made ")) for lines in told]
    assert sum(made) == PAIRS
    assert min(made) > 0
    for lines in told:  # each waits for the other, and counts what the other did
        done = [int(text.partition("/")[0]) for text in lines[:-1]]
        assert done == sorted(done)
        assert done[-1] == PAIRS
    assert contents(tmp_path) == whole


def test_a_killed_process_leaves_what_the_next_one_completes(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    view = view_of(spots())
    with start(tmp_path, 0.05) as process:
        assert line(process) == "ready"
        go(process)
        for _ in range(3):  # none, one batch, two
            last = line(process)
        process.send_signal(signal.SIGKILL)
    done = int(last.partition("/")[0])
    assert 0 < done < PAIRS
    pairs = registration(tmp_path)
    assert pairs.store(view).verify() == []
    stored = pairs.store(view).info().pairs
    assert done <= stored < PAIRS
    kept = {name: data for name, data in contents(tmp_path).items() if "/." not in name}
    assert kept.items() <= whole.items()  # but for what was just being written
    assert pairs.fill(view, everything()) == PAIRS - stored
    assert contents(tmp_path) == whole


def test_who_waits_for_a_process_that_dies_does_its_work(tmp_path: Path) -> None:
    with start(tmp_path, 600) as process:
        assert line(process) == "ready"
        go(process)
        assert line(process) == f"0/{PAIRS}"
        with start(tmp_path, 0) as waiting:
            assert line(waiting) == "ready"
            go(waiting)
            # All but what the first one has claimed and never ends.
            while (last := line(waiting)) and int(last.partition("/")[0]) < PAIRS - 22:
                pass
            process.kill()
            told = rest(waiting)
    assert waiting.returncode == 0
    assert told[-1] == f"made {PAIRS}"

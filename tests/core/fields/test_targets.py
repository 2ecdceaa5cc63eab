"""Targets are ordered by what the two images are, not by who else is in the pool."""

from __future__ import annotations

import math
from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.fields.targets import rank_targets, target_orders
from medscale.protocols import PoolView

WINDOW = 0.1
PLACES = st.one_of(st.just(math.nan), st.floats(0, 1))
# Few keys, so that images stand in the pool more than once.
POOLS = st.lists(st.tuples(st.integers(0, 40), PLACES), min_size=1, max_size=25)


def ranked(pool: list[tuple[int, float]], candidates: list[int] | None = None) -> list[int]:
    """Return the targets of the first image of a pool of (key, position)."""
    return rank_targets(
        0,
        list(range(len(pool))) if candidates is None else candidates,
        keys=[f"{key:032x}" for key, _ in pool],
        positions=[position for _, position in pool],
        window=WINDOW,
    )


def away(pool: list[tuple[int, float]], candidate: int) -> float:
    """Return the distance of positions; 0 where they are homologous or one is unknown."""
    distance = abs(pool[candidate][1] - pool[0][1])
    return 0.0 if math.isnan(distance) or distance <= WINDOW else distance


@given(POOLS)
def test_every_other_image_is_there_once(pool: list[tuple[int, float]]) -> None:
    keys = [pool[target][0] for target in ranked(pool)]
    assert len(keys) == len(set(keys))
    assert set(keys) == {key for key, _ in pool} - {pool[0][0]}


@given(POOLS)
def test_homologous_slices_come_first_then_the_nearest(pool: list[tuple[int, float]]) -> None:
    distances = [away(pool, target) for target in ranked(pool)]
    assert distances == sorted(distances)


@given(POOLS, st.data())
def test_others_change_nothing_about_the_order_of_two(
    pool: list[tuple[int, float]], data: st.DataObject
) -> None:
    pool = list({key: (key, position) for key, position in pool}.values())
    fewer = data.draw(st.lists(st.sampled_from(range(len(pool))), unique=True))
    kept = set(fewer)
    assert ranked(pool, fewer) == [target for target in ranked(pool) if target in kept]


@given(POOLS, st.randoms(use_true_random=False))
def test_the_order_of_the_pool_means_nothing(pool: list[tuple[int, float]], chance: Random) -> None:
    source, others = pool[0], pool[1:]
    shuffled = [source, *others]
    chance.shuffle(others)
    turned = [source, *others]
    first, second = (
        [(entries[target][0], away(entries, target)) for target in ranked(entries)]
        for entries in (shuffled, turned)
    )
    assert first == second


def test_sources_have_orders_of_their_own() -> None:
    pool = [(key, 0.5) for key in range(30)]
    keys = [f"{key:032x}" for key, _ in pool]

    def order(source: int) -> list[int]:
        return rank_targets(source, range(2, 30), keys=keys, positions=[0.5] * 30, window=WINDOW)

    assert order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1)) == list(range(2, 30))
    # Drawn, not sorted by anything that images of one person may share.
    assert order(0) != list(range(2, 30))


def test_an_image_that_is_no_slice_is_homologous_to_all() -> None:
    pool = [(0, math.nan), (1, 0.0), (2, 1.0), (3, math.nan)]
    assert sorted(ranked(pool)) == [1, 2, 3]
    far_first = [(0, 0.0), (1, 0.9), (2, math.nan), (3, 0.05)]
    assert ranked(far_first)[-1] == 1


def test_of_equal_images_the_nearer_slice_counts() -> None:
    assert ranked([(0, 0.0), (1, 0.9), (1, 0.05), (2, 0.5)]) == [2, 3]


@settings(deadline=None)
@given(POOLS, st.data())
def test_each_source_of_a_pool_has_its_targets_among_the_candidates(
    pool: list[tuple[int, float]], data: st.DataObject
) -> None:
    images = torch.tensor([[[[key / 64, 0.0]]] for key, _ in pool])
    places = st.lists(st.sampled_from(range(len(pool))), unique=True)
    sources, candidates = data.draw(places), data.draw(places)
    view = PoolView(
        take=lambda positions: images[list(positions)],
        indices=torch.arange(len(pool)),
        names=tuple(map(str, range(len(pool)))),
        subset=(),
        masks=torch.zeros(0, 1, 1, 2),
        positions=torch.tensor([position for _, position in pool], dtype=torch.float64),
        content="",
        seed=0,
    )
    orders = target_orders(view, sources, candidates, window=WINDOW)
    assert list(orders) == sources
    for source, order in orders.items():
        assert order == rank_targets(
            source,
            candidates,
            keys=view.keys,
            positions=[position for _, position in pool],
            window=WINDOW,
        )

"""No person, and no image, is on two sides of a split; subsets grow and are everybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.cohort import Cohort
from medscale.data.options import SplitOptions
from medscale.data.splits import Split, make_split, people, training_order
from medscale.errors import DataError

_ALL = SplitOptions(max_validation=None)


class _Row(NamedTuple):
    """A case of the drawn cohorts."""

    id: str
    subject: str
    group: str
    key: str


@st.composite
def _rows(draw: st.DrawFn) -> list[_Row]:
    """Draw cases of a few people; some images stand under several of them, also in chains."""
    count = draw(st.integers(3, 40))
    subjects = draw(st.lists(st.integers(0, 15), min_size=count, max_size=count))
    keys = draw(st.lists(st.integers(0, 80), min_size=count, max_size=count))
    group_of = draw(st.lists(st.sampled_from("AB"), min_size=16, max_size=16))
    return [
        _Row(f"case{row}", f"person{subject}", group_of[subject], f"image{key}")
        for row, (subject, key) in enumerate(zip(subjects, keys, strict=True))
    ]


def _bundles(rows: list[_Row]) -> list[set[str]]:
    """Return sets of subjects that are tied to each other by shared images: slow and plain."""
    bundles = [{row.subject for row in rows if row.key == key} for key in {r.key for r in rows}]
    merged = True
    while merged:
        merged = False
        for one in bundles:
            for other in bundles:
                if one is not other and one & other:
                    one |= other
                    bundles.remove(other)
                    merged = True
                    break
            if merged:
                break
    return bundles


@pytest.fixture(scope="session")
def cohort_of(make_cohort: Callable[..., Cohort]) -> Callable[[list[_Row]], Cohort]:
    def make(rows: list[_Row]) -> Cohort:
        return make_cohort(
            [row.subject for row in rows],
            ids=[row.id for row in rows],
            groups=[row.group for row in rows],
            keys=[row.key for row in rows],
        )

    return make


def _split(
    cohort: Cohort,
    rows: list[int] | None = None,
    options: SplitOptions = _ALL,
    *,
    seed: int = 0,
    index: int = 0,
) -> Split:
    everything = list(range(len(cohort.cases)))
    rows = everything if rows is None else rows
    return make_split(cohort, rows, options, seed=seed, dataset="toys", index=index)


def _sides(split: Split) -> list[tuple[int, ...]]:
    return [split.test, split.validation, split.pool]


@settings(deadline=None)
@given(rows=_rows())
def test_people_are_bundles_of_subjects_that_share_images(rows: list[_Row]) -> None:
    class Named(NamedTuple):
        subject: str

    numbers = people([Named(row.subject) for row in rows], [row.key for row in rows])  # type: ignore[misc]
    by_number: dict[int, set[str]] = {}
    for number, row in zip(numbers, rows, strict=True):
        by_number.setdefault(number, set()).add(row.subject)
    assert sorted(map(sorted, by_number.values())) == sorted(map(sorted, _bundles(rows)))
    assert list(by_number) == sorted(by_number)


@settings(deadline=None)
@given(
    rows=_rows(),
    seed=st.integers(0, 50),
    test=st.floats(0.01, 0.99),
    validation=st.floats(0.01, 0.99),
)
def test_no_person_and_no_image_is_on_two_sides(
    cohort_of: Callable[[list[_Row]], Cohort],
    rows: list[_Row],
    seed: int,
    test: float,
    validation: float,
) -> None:
    cohort = cohort_of(rows)
    options = SplitOptions(test=test, validation=validation, max_validation=None)
    if len(_bundles(rows)) < 3:
        with pytest.raises(DataError, match="expected at least 3"):
            _split(cohort, options=options, seed=seed)
        return
    sides = _sides(_split(cohort, options=options, seed=seed))
    assert sorted(row for side in sides for row in side) == list(range(len(rows)))
    assert all(sides)
    for what in ("subject", "key"):
        on_side = [{getattr(rows[row], what) for row in side} for side in sides]
        assert not on_side[0] & on_side[1]
        assert not on_side[0] & on_side[2]
        assert not on_side[1] & on_side[2]


@settings(deadline=None)
@given(rows=_rows(), order=st.randoms(use_true_random=False))
def test_the_order_of_listing_does_not_move_people(
    cohort_of: Callable[[list[_Row]], Cohort], rows: list[_Row], order: np.random.RandomState
) -> None:
    bundles = _bundles(rows)
    if len(bundles) < 3:
        return
    seen = []
    shuffled = list(rows)
    order.shuffle(shuffled)
    for listing in (rows, shuffled):
        cohort = cohort_of(listing)
        split = _split(cohort)
        annotated = training_order(cohort, split.pool, seed=0, dataset="toys", index=0, replicate=0)
        sides = [{listing[row].id for row in side} for side in _sides(split)]
        whose = [
            next(n for n, bundle in enumerate(bundles) if listing[row].subject in bundle)
            for row in annotated
        ]
        seen.append((sides, whose))
    assert seen[0] == seen[1]


@settings(deadline=None)
@given(rows=_rows(), data=st.data())
def test_every_task_has_the_same_test_people(
    cohort_of: Callable[[list[_Row]], Cohort], rows: list[_Row], data: st.DataObject
) -> None:
    if len(_bundles(rows)) < 3:
        return
    cohort = cohort_of(rows)
    whole = _split(cohort)
    shown = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True, min_size=1))
    try:
        task = _split(cohort, shown)
    except DataError:
        assert any(not set(side) & set(shown) for side in _sides(whole))
        return
    for side, of_task in zip(_sides(whole), _sides(task), strict=True):
        assert set(of_task) == set(side) & set(shown)


@pytest.mark.parametrize("people_there", [1, 2])
def test_fewer_than_three_people_are_refused(
    make_cohort: Callable[..., Cohort], people_there: int
) -> None:
    cohort = make_cohort([f"p{row % people_there}" for row in range(12)])
    with pytest.raises(DataError, match=f"hold {people_there} independent subjects?,"):
        _split(cohort)


def test_people_who_share_images_count_as_one(make_cohort: Callable[..., Cohort]) -> None:
    # Four names, but the images tie a to b and b to c: two people.
    cohort = make_cohort(["a", "b", "b", "c", "d"], keys=["x", "x", "y", "y", "z"])
    with pytest.raises(DataError, match="hold 2 independent subjects"):
        _split(cohort)


@pytest.mark.parametrize(("side", "name"), [(0, "test"), (1, "validation"), (2, "training")])
def test_a_side_without_the_structure_is_refused(
    make_cohort: Callable[..., Cohort], side: int, name: str
) -> None:
    cohort = make_cohort([f"p{row}" for row in range(12)])
    sides = _sides(_split(cohort))
    rows = [row for other, side_rows in enumerate(sides) if other != side for row in side_rows]
    with pytest.raises(DataError, match=f"no {name} case shows the task's structure"):
        _split(cohort, rows)


def test_shares_count_people(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort([f"p{row // 3}" for row in range(60)])
    split = _split(cohort, options=SplitOptions(test=0.25, validation=0.15, max_validation=None))
    assert [len(side) // 3 for side in _sides(split)] == [5, 3, 12]


def test_groups_are_spread_over_the_sides(make_cohort: Callable[..., Cohort]) -> None:
    names = [f"p{row:02}" for row in range(40)]
    cohort = make_cohort(names, groups=[name[-1] for name in names])
    cohort = make_cohort(names, groups=["ABCD"[row % 4] for row in range(40)])
    for index in range(30):
        split = _split(cohort, index=index)
        groups = Counter(cohort.cases[row].group for row in split.test)
        assert sorted(groups) == list("ABCD")
        assert max(groups.values()) <= 4


def test_splits_and_seeds_differ(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort([f"p{row}" for row in range(40)])
    tests = [_split(cohort, index=index).test for index in range(4)]
    tests += [_split(cohort, seed=seed).test for seed in range(1, 4)]
    assert len({frozenset(test) for test in tests}) == len(tests)
    assert _split(cohort) == _split(cohort)


def test_validation_is_capped_and_spread_over_its_people(
    make_cohort: Callable[..., Cohort],
) -> None:
    cohort = make_cohort([f"p{row // 10}" for row in range(200)])
    whole = _split(cohort)
    for cap in (1, 2, 3, 7, 29, 30, 31):
        capped = _split(cohort, options=SplitOptions(max_validation=cap))
        assert (capped.test, capped.pool) == (whole.test, whole.pool)
        assert set(capped.validation) <= set(whole.validation)
        assert len(set(capped.validation)) == len(capped.validation) == min(cap, 30)
        shares = Counter(cohort.cases[row].subject for row in capped.validation).values()
        assert len(shares) == min(cap, 3)
        assert max(shares) - min(shares) <= 1


@settings(deadline=None)
@given(rows=_rows(), replicate=st.integers(0, 20))
def test_subsets_grow_and_begin_with_as_many_people_as_possible(
    cohort_of: Callable[[list[_Row]], Cohort], rows: list[_Row], replicate: int
) -> None:
    if len(_bundles(rows)) < 3:
        return
    cohort = cohort_of(rows)
    pool = _split(cohort).pool
    order = training_order(cohort, pool, seed=0, dataset="toys", index=0, replicate=replicate)
    assert sorted(order) == sorted(pool)
    person = people(cohort.cases, cohort.image_keys)
    pool_people = {person[row] for row in pool}
    assert {person[row] for row in order[: len(pool_people)]} == pool_people


def test_replicates_annotate_other_images_first(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort([f"p{row}" for row in range(60)])
    pool = _split(cohort).pool
    orders = [
        training_order(cohort, pool, seed=0, dataset="toys", index=0, replicate=replicate)
        for replicate in range(8)
    ]
    assert len(set(orders)) == 8
    assert len({order[0] for order in orders}) > 3


def test_small_subsets_hold_the_groups(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort(
        [f"p{row:02}" for row in range(60)], groups=["ABC"[row % 3] for row in range(60)]
    )
    pool = _split(cohort).pool
    for replicate in range(20):
        order = training_order(cohort, pool, seed=0, dataset="toys", index=0, replicate=replicate)
        for size in range(1, len(order) + 1):
            groups = Counter(cohort.cases[row].group for row in order[:size])
            assert all(abs(groups[group] - size / 3) < 2 for group in "ABC")

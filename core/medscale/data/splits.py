"""Splits by subject, and nested training subsets.

Everything is drawn by name (`medscale.seeding`), so the same study gets the same people on every
machine, whatever else it runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from medscale.data.cases import Case
from medscale.data.cohort import Cohort
from medscale.data.options import SplitOptions
from medscale.errors import DataError
from medscale.seeding import numpy_generator

_MINIMUM = 3
"""One person each for test, validation and pool."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Cohort rows of the three sides. No subject, and no duplicate image, is on two."""

    test: tuple[int, ...]
    validation: tuple[int, ...]
    pool: tuple[int, ...]


def people(cases: Sequence[Case], image_keys: Sequence[str]) -> tuple[int, ...]:
    """Number the people behind the cases; subjects that share an image count as one.

    Returns:
        For each case, the number of its person; numbered by the first case in which each appears.
    """
    parent: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for case, key in zip(cases, image_keys, strict=True):
        parent[root(("image", key))] = root(("subject", case.subject))
    numbers: dict[Hashable, int] = {}
    return tuple(
        numbers.setdefault(root(("subject", case.subject)), len(numbers)) for case in cases
    )


def make_split(
    cohort: Cohort,
    rows: Sequence[int],
    options: SplitOptions,
    *,
    seed: int,
    dataset: str,
    index: int,
) -> Split:
    """Divide the people of a cohort into test, validation and pool.

    All people are divided, then the rows of the task are looked up on each side, so that every
    task of a data set has the same test people. Groups (diagnoses, sites) are spread evenly.

    Args:
        cohort: The prepared cohort.
        rows: The rows that serve the task.
        options: Shares of the sides.
        seed: The study's seed.
        dataset: Its name.
        index: Which split.

    Raises:
        DataError: If there are fewer than three people, or a side has no row of the task.
    """
    person_of = people(cohort.cases, cohort.image_keys)
    count = len(set(person_of))
    if count < _MINIMUM:
        raise DataError(
            f"the data hold {count} independent subject{'s' if count != 1 else ''}, expected at "
            f"least {_MINIMUM} (one each for training, validation and test); add people, or say "
            "which images belong to whom"
        )
    generator = numpy_generator(seed, "split", dataset, index)
    order = _people_order(cohort, person_of, range(len(cohort.cases)), generator)
    test = min(max(1, round(options.test * count)), count - 2)
    validation = min(max(1, round(options.validation * count)), count - test - 1)
    sides = dict.fromkeys(order[:test], 0)
    sides |= dict.fromkeys(order[test : test + validation], 1)
    chosen: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row in rows:
        chosen[sides.get(person_of[row], 2)].append(row)
    for name, side in zip(("test", "validation", "training"), chosen, strict=True):
        if not side:
            raise DataError(
                f"no {name} case shows the task's structure; give the {name} side a larger share "
                "(--set split.test=…, --set split.validation=…) or choose another --seed"
            )
    validation_rows = chosen[1]
    if options.max_validation is not None and len(validation_rows) > options.max_validation:
        generator = numpy_generator(seed, "validation", dataset, index)
        order = _people_order(cohort, person_of, validation_rows, generator)
        validation_rows = _take_turns(validation_rows, person_of, order, generator)
        validation_rows = validation_rows[: options.max_validation]
    return Split(test=tuple(chosen[0]), validation=tuple(validation_rows), pool=tuple(chosen[2]))


def training_order(
    cohort: Cohort, pool: Sequence[int], *, seed: int, dataset: str, index: int, replicate: int
) -> tuple[int, ...]:
    """Return the order in which a replicate annotates the pool; its first n rows are subset n.

    So n ⊂ 2n, every arm and network of a replicate sees the same images, and the first images
    come from as many people (and groups) as possible, as somebody who annotates would choose.
    """
    person_of = people(cohort.cases, cohort.image_keys)
    generator = numpy_generator(seed, "subset", dataset, index, replicate)
    order = _people_order(cohort, person_of, pool, generator)
    return tuple(_take_turns(pool, person_of, order, generator))


def _people_order(
    cohort: Cohort, person_of: Sequence[int], rows: Sequence[int], generator: np.random.Generator
) -> list[int]:
    """Shuffle the people of some rows so that every prefix holds their groups in proportion."""
    # By name, so that the order in which a data set lists its cases does not matter.
    names: dict[int, tuple[str, str]] = {}
    for row in rows:
        case, person = cohort.cases[row], person_of[row]
        name = (case.subject, case.group)
        names[person] = min(name, names.get(person, name))
    groups: dict[str, list[int]] = {}
    for person, (_, group) in sorted(names.items(), key=lambda item: item[1]):
        groups.setdefault(group, []).append(person)
    placed: list[tuple[float, int]] = []
    for _, members in sorted(groups.items()):
        # Each group is laid evenly over [0, 1] from a random start; sorting interleaves them.
        start = generator.random()
        shuffled = generator.permutation(members)
        placed += [((rank + start) / len(members), int(p)) for rank, p in enumerate(shuffled)]
    return [person for _, person in sorted(placed)]


def _take_turns(
    rows: Sequence[int],
    person_of: Sequence[int],
    order: Sequence[int],
    generator: np.random.Generator,
) -> list[int]:
    """Order rows so that people, in their order, give one each in turn, each at random."""
    rank = {person: position for position, person in enumerate(order)}
    turns: dict[int, int] = {}
    keyed: list[tuple[int, int, int]] = []
    for row in generator.permutation(np.asarray(rows, dtype=np.int64)):
        person = person_of[int(row)]
        turns[person] = turns.get(person, 0) + 1
        keyed.append((turns[person], rank[person], int(row)))
    return [row for *_, row in sorted(keyed)]

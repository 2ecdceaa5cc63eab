"""Every stream of random numbers has a name, and no stream moves another."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from medscale.seeding import derive_seed, numpy_generator, seeded_torch, torch_generator

_NAMES = st.lists(st.text(max_size=6) | st.integers(0, 99), max_size=4).map(tuple)


@given(st.integers(0, 2**63), _NAMES)
def test_a_seed_fits_every_generator(root: int, names: tuple[str | int, ...]) -> None:
    seed = derive_seed(root, *names)
    assert 0 <= seed < 2**63
    assert seed == derive_seed(root, *names)


@given(_NAMES, _NAMES)
def test_other_names_give_other_seeds(
    one: tuple[str | int, ...], other: tuple[str | int, ...]
) -> None:
    same = [(type(name), name) for name in one] == [(type(name), name) for name in other]
    assert (derive_seed(0, *one) == derive_seed(0, *other)) == same


def test_parts_of_a_name_are_kept_apart() -> None:
    names: list[tuple[str | int, ...]] = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc",),
        ("a", "b", "c"),
        ("a\x1fbc",),
        ("1",),
        (1,),
        (),
    ]
    assert len({derive_seed(0, *name) for name in names}) == len(names)
    assert derive_seed(0, "a") != derive_seed(1, "a")


def test_seeds_stay_what_they_were() -> None:
    # Written down: were it to change, a study that resumes would train on other people.
    assert derive_seed(0, "subset", "acdc", 3) == 1_259_851_055_327_776_393


def test_streams_do_not_move_each_other() -> None:
    alone = numpy_generator(7, "subset", 0).random(5)
    first = numpy_generator(7, "subset", 0)
    numpy_generator(7, "another arm").random(1000)
    torch_generator(7, "subset", 0)
    np.testing.assert_array_equal(first.random(5), alone)


def test_streams_of_other_names_are_unlike() -> None:
    draws = np.stack([numpy_generator(0, "stream", index).random(2000) for index in range(6)])
    correlations = np.asarray(np.corrcoef(draws))[~np.eye(6, dtype=bool)]
    assert np.abs(correlations).max() < 0.1


def test_generators_leave_torch_and_numpy_alone() -> None:
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    torch.rand(3, generator=torch_generator(0, "a"))
    numpy_generator(0, "a").random(3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(legacy=False), numpy_state)  # noqa: NPY002


def test_seeded_torch_repeats_inside_and_restores_outside() -> None:
    before = torch.get_rng_state()
    drawn = []
    for seed in (3, 3, 4):
        with seeded_torch(seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)

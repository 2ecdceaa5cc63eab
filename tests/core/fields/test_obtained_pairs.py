"""An augmenter's pairs are registered in whole blocks of their order, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.core.fields.toy_registration import Centres, everything, spots, view_of

from medscale.fields.options import RegistrationOptions
from medscale.fields.registration import PairRegistration
from medscale.protocols import PluginContext, UsedPlugin

COUNT = 12
ORDERS = everything(COUNT)


def _registration(cache: Path, toy: Centres, targets_per_source: int = 4) -> PairRegistration:
    options = RegistrationOptions(targets_per_source=targets_per_source, alignment="none")
    uses = {"registrar": UsedPlugin(plugin=toy, identity={"name": "centres"})}
    return PairRegistration.of(options, PluginContext(cache=cache, uses=uses))


def _unheard(what: str, share: float) -> None:
    """Drop progress."""


def test_an_augmenter_registers_as_its_options_and_context_say(tmp_path: Path) -> None:
    toy = Centres()
    found = _registration(tmp_path, toy)
    assert found.registrar.plugin is toy
    assert found.alignment == "none"
    assert found.folder == tmp_path / "fields"
    assert found.device == "cpu"


@pytest.mark.parametrize(("targets", "block"), [(1, 1), (16, 16), (32, 32), (100, 32)])
def test_a_block_is_what_a_source_needs_up_to_a_limit(
    tmp_path: Path, targets: int, block: int
) -> None:
    assert _registration(tmp_path, Centres(), targets).block == block


@pytest.mark.parametrize(
    ("wanted", "registered"),
    [([], 0), ([1], 4), ([4], 4), ([5], 8), ([2, 7, 1], 8), ([9], 11), ([11], 11)],
)
def test_whole_blocks_are_registered_as_far_as_wanted(
    tmp_path: Path, wanted: list[int], registered: int
) -> None:
    toy, view = Centres(), view_of(spots())
    pairs = _registration(tmp_path, toy).obtain(view, {0: wanted}, {0: ORDERS[0]}, _unheard)
    assert toy.seen == [(0, target) for target in ORDERS[0][:registered]]
    # Only what is wanted comes back, in that order.
    assert list(pairs) == ([0] if wanted else [])
    for found in pairs.values():
        alone = toy.register(moving=view.take([0] * len(wanted)), fixed=view.take(wanted))
        np.testing.assert_allclose(found.codes, alone.numpy(), atol=1e-3)


@pytest.mark.parametrize("wanted", [[3], [11, 2], [8, 5, 1, 9]])
def test_codes_do_not_depend_on_what_else_is_wanted(tmp_path: Path, wanted: list[int]) -> None:
    class Company(Centres):
        """Codes that show with whom they were registered."""

        def register(self, *, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
            codes = super().register(moving=moving, fixed=fixed)
            return codes + codes.mean(0, keepdim=True)

    view = view_of(spots())
    some, all_ = (
        _registration(tmp_path / name, Company()).obtain(
            view, {0: which}, {0: ORDERS[0]}, _unheard
        )[0]
        for name, which in (("some", wanted), ("all", ORDERS[0]))
    )
    rows = [ORDERS[0].index(target) for target in wanted]
    np.testing.assert_array_equal(some.codes, all_.codes[rows])


def test_what_is_stored_is_not_registered_again(tmp_path: Path) -> None:
    view = view_of(spots())
    first = _registration(tmp_path, Centres()).obtain(view, ORDERS, ORDERS, _unheard)
    toy = Centres()
    again = _registration(tmp_path, toy).obtain(view, ORDERS, ORDERS, _unheard)
    assert toy.seen == []
    assert all((first[source].codes == again[source].codes).all() for source in ORDERS)


def test_the_share_that_is_done_is_told_where_there_is_something_to_do(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    view, orders = view_of(spots()), {0: ORDERS[0], 1: ORDERS[1]}
    for _ in range(2):
        _registration(tmp_path, Centres()).obtain(
            view, orders, orders, lambda what, share: told.append((what, share))
        )
    assert {what for what, _ in told} == {"registration"}
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    # Two sources of three blocks; the second time nothing is missing, and nothing is told.
    assert len(shares) == 7

"""A field store gives back the codes that were put in, or says so; never the identity instead."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.core.fields.toy_store import (
    CODE,
    IDENTITY,
    KEYS,
    POOL,
    blocks,
    contents,
    files,
    open_store,
    quality,
    random_codes,
)

from medscale.data.cases import Array
from medscale.errors import StoreError
from medscale.fields.blocks import encode_block
from medscale.fields.store import FieldStore

OUTSIDER = "f" * 32


@given(
    arrays(
        np.float32, (3, *CODE), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    arrays(np.float64, 3, elements=st.floats(allow_infinity=False)),
)
@settings(max_examples=60, deadline=None)
def test_codes_and_their_quality_come_back(codes: Array, numbers: Array) -> None:
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder)).add(KEYS[0], KEYS[1:4], codes, {"number": numbers})
        pairs = open_store(Path(folder)).read(KEYS[0], KEYS[1:4])
    assert pairs.codes.dtype == np.float32
    error = np.abs(pairs.codes.astype(np.float64) - codes).max(axis=(1, 2, 3))
    assert (error <= 2.0**-11 * np.abs(codes).max(axis=(1, 2, 3))).all()
    assert not pairs.failed.any()
    np.testing.assert_array_equal(pairs.quality["number"], numbers)


def test_pairs_come_in_the_order_asked_for(store: FieldStore) -> None:
    asked = [KEYS[4], KEYS[1], KEYS[3], KEYS[4]]
    pairs = store.read(KEYS[0], asked)
    first, second = random_codes(2), random_codes(2, seed=1)
    expected = np.stack([second[1], first[0], second[0], second[1]])
    np.testing.assert_allclose(pairs.codes, expected, atol=2.0**-11 * np.abs(expected).max())
    np.testing.assert_array_equal(pairs.quality["similarity"], [5.1, 0.0, 5.0, 5.1])


def test_a_zero_code_is_not_a_missing_one(tmp_path: Path) -> None:
    # Zarr leaves out chunks that hold the fill value alone, and fills with 0 by default.
    open_store(tmp_path).add(KEYS[0], KEYS[1:3], np.zeros((2, *CODE)), {})
    again = open_store(tmp_path)
    assert again.missing(KEYS[0], KEYS[1:3]) == []
    pairs = again.read(KEYS[0], KEYS[1:3])
    assert not pairs.failed.any()
    np.testing.assert_array_equal(pairs.codes, 0)


def test_a_block_is_plain_zarr(store: FieldStore) -> None:
    for folder in blocks(store):
        array = zarr.open_array(folder, mode="r", zarr_format=3)
        targets = [str(target) for target in array.attrs["targets"]]  # type: ignore[union-attr]
        assert [POOL[target] for target in targets] == array.attrs["target_cases"]
        scales = np.array(array.attrs["scales"], dtype=np.float32).reshape(-1, 1, 1, 1)
        codes = np.asarray(array[...]).astype(np.float32) * scales
        np.testing.assert_array_equal(codes, store.read(KEYS[0], targets).codes)


def test_a_missing_pair_is_an_error_that_names_both_cases(store: FieldStore) -> None:
    assert store.missing(KEYS[0], KEYS[:6]) == [KEYS[0], KEYS[5]]
    with pytest.raises(
        StoreError, match=r"of case0 onto case5 \(1 of the 2 asked.*run `medscale register`"
    ):
        store.read(KEYS[0], [KEYS[1], KEYS[5]])
    # A pair has a direction.
    with pytest.raises(StoreError, match="of case1 onto case0"):
        store.read(KEYS[1], [KEYS[0]])


def test_nothing_outside_the_pool_goes_in_or_out(store: FieldStore) -> None:
    before = contents(store.root)
    message = f"image {OUTSIDER} is not in the pool of 8 images"
    for source, target in ((OUTSIDER, KEYS[1]), (KEYS[0], OUTSIDER)):
        with pytest.raises(StoreError, match=message):
            store.add(source, [target], random_codes(1), quality(1))
        with pytest.raises(StoreError, match=message):
            store.read(source, [target])
        with pytest.raises(StoreError, match=message):
            store.missing(source, [target])
    with pytest.raises(StoreError, match=message), store.claim(OUTSIDER):
        pass
    assert contents(store.root) == before


def test_what_is_stored_is_refused_to_a_study_that_tests_on_it(
    store: FieldStore, tmp_path: Path
) -> None:
    pool = {key: case for key, case in POOL.items() if case != "case1"}
    other = open_store(tmp_path, pool=pool)
    assert other.missing(KEYS[0], KEYS[2:4]) == []
    with pytest.raises(StoreError, match=f"image {KEYS[1]} is not in the pool of 7"):
        other.read(KEYS[0], [KEYS[1]])


def test_a_pool_the_wrong_way_round_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected the 32 hexadecimal digits"):
        open_store(tmp_path, pool={case: key for key, case in POOL.items()})


def test_a_failed_pair_is_remembered_and_never_a_code(store: FieldStore) -> None:
    assert store.missing(KEYS[0], KEYS[1:3]) == []
    pairs = store.read(KEYS[0], KEYS[1:4])
    np.testing.assert_array_equal(pairs.failed, [False, True, False])
    np.testing.assert_array_equal(np.isnan(pairs.codes).all(axis=(1, 2, 3)), pairs.failed)


def test_a_block_may_hold_failures_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(KEYS[0], KEYS[1:3], np.full((2, *CODE), np.nan), {"ssd": np.full(2, np.nan)})
    assert store.read(KEYS[0], KEYS[1:3]).failed.all()
    assert store.verify() == []


def spoilt(value: float) -> Array:
    codes = random_codes(2)
    codes[1, 0, 1, 2] = value
    return codes


@pytest.mark.parametrize(
    ("codes", "numbers", "message"),
    [
        (spoilt(np.inf), {}, "code of case0 onto case6 holds NaN or infinity"),
        (spoilt(np.nan), {}, "code of case0 onto case6 holds NaN or infinity"),
        (np.full((2, *CODE), 1e39), {}, "code of case0 onto case5 holds NaN or infinity"),
        (
            random_codes(3),
            {},
            r"codes of 2 targets have the shape \(2, \*code\); got \(3, 2, 4, 4\)",
        ),
        (np.zeros(2), {}, r"codes of 2 targets have the shape"),
        (np.zeros((2, 0)), {}, r"codes of 2 targets have the shape"),
        (random_codes(2), {"folds": np.zeros(3)}, r"quality 'folds' of 2 targets has the shape"),
        (random_codes(2), {"folds": np.full(2, np.inf)}, "quality 'folds' is infinite"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, codes: Array, numbers: Mapping[str, Array], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path).add(KEYS[0], KEYS[5:7], codes, numbers)
    assert files(tmp_path) == []


@pytest.mark.parametrize("targets", [[], [KEYS[1], KEYS[1]]])
def test_a_block_has_every_target_once(tmp_path: Path, targets: list[str]) -> None:
    with pytest.raises(StoreError, match="one or more targets, each once"):
        open_store(tmp_path).add(KEYS[0], targets, random_codes(len(targets)), {})


def test_all_codes_of_a_store_are_alike(store: FieldStore, tmp_path: Path) -> None:
    for opened in (store, open_store(tmp_path)):
        with pytest.raises(StoreError, match=r"shape \(2, 4, 4\) .*got codes of shape \(2, 2\)"):
            opened.add(KEYS[1], KEYS[5:6], random_codes(1, shape=(2, 2)), quality(1))
        with pytest.raises(StoreError, match=r"\['folds', 'similarity'\]; got .*\['ssd'\]"):
            opened.add(KEYS[1], KEYS[5:6], random_codes(1), {"ssd": np.zeros(1)})


def test_the_same_content_is_the_same_files(store: FieldStore, tmp_path: Path) -> None:
    before = contents(store.root)
    store.add(KEYS[0], KEYS[3:5], random_codes(2, seed=1), quality(2, first=5))
    assert contents(store.root) == before
    other = open_store(tmp_path / "other", identity=dict(reversed(IDENTITY.items())))
    other.add(KEYS[0], KEYS[3:5], random_codes(2, seed=1), quality(2, first=5))
    assert contents(other.root).items() <= before.items()


def test_another_identity_is_another_store(store: FieldStore, tmp_path: Path) -> None:
    other = open_store(tmp_path, identity=IDENTITY | {"behavior": 2})
    assert other.missing(KEYS[0], KEYS[1:3]) == KEYS[1:3]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_blocks_that_overlap_are_read_alike_whoever_came_first(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    failure = np.full((3, *CODE), np.nan)
    several = [failure, random_codes(3, seed=1), random_codes(3, seed=2)]
    for number in order:
        open_store(tmp_path).add(KEYS[0], KEYS[1:4], several[number], quality(3, first=number))
    pairs = open_store(tmp_path).read(KEYS[0], KEYS[1:4])
    names = [
        encode_block(KEYS[0], KEYS[1:4], several[n], quality(3, first=n), POOL)[0] for n in (1, 2)
    ]
    chosen = 1 + int(np.argmin(names))
    assert not pairs.failed.any()
    np.testing.assert_allclose(pairs.codes, several[chosen], atol=0.01)
    np.testing.assert_array_equal(
        pairs.quality["similarity"], quality(3, first=chosen)["similarity"]
    )


def test_a_source_has_one_claimant(store: FieldStore, tmp_path: Path) -> None:
    other = open_store(tmp_path)
    with (
        store.claim(KEYS[0]) as mine,
        other.claim(KEYS[0]) as too,
        other.claim(KEYS[1]) as next_one,
    ):
        assert (mine, too, next_one) == (True, False, True)
        # Filling needs no claim; a claim only shares out the work.
        other.add(KEYS[0], KEYS[5:6], random_codes(1), quality(1))
    with other.claim(KEYS[0]) as mine:
        assert mine
        assert other.missing(KEYS[0], KEYS[1:6]) == []


def test_an_error_while_filling_is_passed_on_and_ends_the_claim(store: FieldStore) -> None:
    with pytest.raises(PermissionError, match="of the registrar"), store.claim(KEYS[0]):
        raise PermissionError(13, "of the registrar")
    with store.claim(KEYS[0]) as mine:
        assert mine


def test_information_counts_every_pair_once(store: FieldStore, tmp_path: Path) -> None:
    store.add(KEYS[0], KEYS[4:6], random_codes(2, seed=3), quality(2, first=7))
    store.add(KEYS[1], KEYS[4:5], random_codes(1, seed=4), quality(1, first=9))
    info = open_store(tmp_path, pool={}).info()
    assert info.identity == IDENTITY
    assert (info.code_shape, info.sources, info.pairs, info.failed) == (CODE, 2, 6, 1)
    assert info.bytes >= sum(path.stat().st_size for path in files(store.root))
    served = [store.read(KEYS[0], KEYS[1:6]), store.read(KEYS[1], KEYS[4:5])]
    expected = np.concatenate([pairs.quality["similarity"][~pairs.failed] for pairs in served])
    assert sorted(info.quality["similarity"]) == sorted(expected)
    assert len(info.quality["folds"]) == 5


def test_a_store_that_nobody_filled_is_empty(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.missing(KEYS[0], KEYS[1:3]) == KEYS[1:3]
    assert store.verify() == []
    info = store.info()
    assert (info.code_shape, info.sources, info.pairs, info.failed, info.bytes) == (
        None,
        0,
        0,
        0,
        0,
    )
    assert list(tmp_path.iterdir()) == []

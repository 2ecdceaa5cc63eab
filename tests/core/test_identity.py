"""Content addresses depend on content alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.identity import array_key, canonical_json, content_key

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_JSON)
def test_canonical_json_says_the_same_thing(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), _JSON, min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert content_key(backwards) == content_key(value)


@given(_JSON, _JSON)
def test_other_content_has_another_key(one: object, other: object) -> None:
    # By text: in Python 1, 1.0 and True are equal, in JSON they are not.
    same = canonical_json(one) == canonical_json(other)
    assert (content_key(one) == content_key(other)) == same


def test_keys_stay_what_they_were() -> None:
    # Written down, so that a change of their meaning does not pass unseen: results that exist
    # would be lost, or worse, taken for others. Raise IDENTITY_VERSION with it.
    assert content_key({"b": [1, 2.5, None], "a": "ä"}) == "f5558f2ea3b2ef0c1016fe001765e9b2"
    assert (
        array_key(np.arange(6, dtype=np.float32).reshape(2, 3))
        == "7304badd40057db3d807d7bddc2110c3"
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {"a": [float("nan")]}])
def test_what_is_no_number_has_no_key(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_key(value)


def test_what_is_no_json_has_no_key() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        content_key({"a": {1, 2}})


def test_arrays_differ_by_type_shape_and_values() -> None:
    base = np.arange(6, dtype=np.int32)
    others = [
        base.astype(np.float32),
        base.astype(np.uint32),
        base.reshape(2, 3),
        base.reshape(3, 2),
        base[::-1],
        base[:0],
    ]
    assert len({array_key(array) for array in [base, *others]}) == 7


def test_how_an_array_lies_in_memory_does_not_matter() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert array_key(np.asfortranarray(array)) == array_key(array)
    assert array_key(array.transpose(2, 0, 1)) == array_key(array.transpose(2, 0, 1).copy())


def test_several_arrays_are_kept_apart() -> None:
    a, b = np.zeros(2, np.uint8), np.zeros(3, np.uint8)
    assert len({array_key(a, b), array_key(b, a), array_key(np.zeros(5, np.uint8))}) == 3

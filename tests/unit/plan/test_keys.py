"""Keys and seeds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark_core.plan import key_of, seed_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_key_does_not_depend_on_the_order_of_fields(identity):
    assert key_of(identity) == key_of(dict(reversed(identity.items())))


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=4), st.data())
def test_a_change_of_any_field_changes_the_key(identity, data):
    field = data.draw(st.sampled_from(sorted(identity)))
    other = data.draw(JSON.filter(lambda v: repr(v) != repr(identity[field])))
    changed = {**identity, field: other}
    if changed != identity or repr(changed) != repr(identity):
        assert key_of(changed) != key_of(identity)


def test_the_key_is_sha256_of_canonical_json():
    assert key_of({"b": 1, "a": [1.5, "é"]}) == hashlib.sha256(b'{"a":[1.5,"\\u00e9"],"b":1}').hexdigest()


def test_nan_has_no_key():
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of({"a": float("nan")})


def test_seeds_differ_by_role_repetition_and_suite_seed():
    seeds = {
        seed_of(s, role, r) for s in range(3) for role in ("train", "select", "attack") for r in range(20)
    }
    assert len(seeds) == 180
    assert all(0 <= s < 2**63 for s in seeds)
    assert seed_of(0, "train", 0) == seed_of(0, "train", 0)

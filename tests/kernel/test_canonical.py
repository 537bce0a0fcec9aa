from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel import canonical
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError

PLAIN = st.text(st.characters(max_codepoint=0xD7FF))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back_from_its_canonical_bytes(value: canonical.Json) -> None:
    data = canonical.dumps(value)
    assert canonical.loads_canonical(data) == value
    assert canonical.dumps(canonical.loads(data)) == data


@given(st.dictionaries(PLAIN, st.integers(0, 9), min_size=2, max_size=6))
def test_the_order_of_keys_never_shows(value: dict[str, canonical.Json]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical.dumps(value) == canonical.dumps(backwards)


@pytest.mark.parametrize(
    "data",
    [b'{"a":1, "b":2}', b'{"b":1,"a":2}', b'{"a":1}\n', b'{"a":1e0}', b'"\\u0041"'],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    canonical.loads(data)
    with pytest.raises(NotCanonicalError):
        canonical.loads_canonical(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"\xff", b"[" * 100_000, b"1e999", b"1 2"],
)
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    with pytest.raises(DocumentMalformedError):
        canonical.loads(data)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 2**53, {1: 2}, {"a": b"x"}, "\ud800"]
)
def test_what_json_does_not_have_is_not_written(value: object) -> None:
    with pytest.raises(NotCanonicalError):
        canonical.dumps(value)  # type: ignore[arg-type]


def test_a_document_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(DocumentMalformedError, match="at most 10"):
        canonical.loads(b'"0123456789"', max_bytes=10)

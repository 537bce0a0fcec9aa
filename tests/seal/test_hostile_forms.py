"""Signed or not, no form of JSON makes a reader fail otherwise than by refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import RefusedError, TundishError
from tundish.seal import (
    base64s,
    certificate,
    dsse,
    envelope,
    foreign,
    grant,
    model_signature,
)
from tundish.seal.keys import DeviceKey, SigningKey
from tundish.seal.model_signature import facts_of
from tundish.seal.statement import make_statement

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY = SigningKey.generate()
GRANT = grant.issue(
    package=of_bytes(b"p"),
    identity=envelope.new_identity(),
    device=DeviceKey.generate().public,
    terms=grant.make_terms(
        purpose="x", not_before=NOW, not_after=NOW + timedelta(days=1)
    ),
    key=KEY,
    now=NOW,
)
BUNDLE = model_signature.sign(
    {"a.json": facts_of(b"a"), "b.json": facts_of(b"b")},
    make_statement(
        product="p",
        version=1,
        not_after="2027-01-01T00:00:00Z",
        created_at="2026-01-01T00:00:00Z",
    ),
    KEY,
)
scalars: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "sha256:" + "0" * 64, "../x", "QQ==", "\u00e9"]),
)
anything: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "name", "sig"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def mutated(value: Json, data: st.DataObject) -> Json:
    """Return the value with one place, however deep, replaced or taken out."""
    places = list(value) if isinstance(value, dict) else []
    items = list(value) if isinstance(value, list) else []
    if (not places and not items) or data.draw(st.integers(0, 4)) == 0:
        return data.draw(anything)
    if isinstance(value, dict):
        name = data.draw(st.sampled_from(sorted(places)))
        if data.draw(st.integers(0, 5)) == 0:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: mutated(value[name], data)}
    at = data.draw(st.integers(0, len(items) - 1))
    return [*items[:at], mutated(items[at], data), *items[at + 1 :]]


def inner(data: bytes, *path: str) -> Json:
    value = canonical.loads(data)
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return canonical.loads(base64s.decode(value, what="payload"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_signed_grant_of_any_form_is_refused_or_read(data: st.DataObject) -> None:
    payload = canonical.dumps(mutated(inner(GRANT, "payload"), data))
    try:
        grant.read(dsse.sign(grant.PAYLOAD_TYPE, payload, KEY), [KEY.public])
    except TundishError:
        return


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_envelope_of_any_form_is_refused_or_read(data: st.DataObject) -> None:
    changed = canonical.dumps(mutated(canonical.loads(GRANT), data))
    try:
        grant.read(changed, [KEY.public])
    except TundishError:
        return
    assert changed == GRANT


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_signed_statement_of_any_form_is_refused_or_read(data: st.DataObject) -> None:
    changed = mutated(inner(BUNDLE, "dsseEnvelope", "payload"), data)
    payload = canonical.dumps(changed)
    signature = KEY.sign(dsse.encode_for_signing(model_signature.PAYLOAD_TYPE, payload))
    bundle = model_signature._bundle(payload, signature, KEY.public.hint)
    for verify in (model_signature.verify, foreign.verify):
        try:
            verify(bundle, [KEY.public])
        except TundishError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_bundle_of_any_form_is_refused_or_read(data: st.DataObject) -> None:
    changed = canonical.dumps(mutated(canonical.loads(BUNDLE), data))
    for verify in (model_signature.verify, foreign.verify):
        try:
            verify(changed, [KEY.public])
        except TundishError:
            continue


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    for read in (grant.read, model_signature.verify, foreign.verify):
        try:
            read(data, [KEY.public])
        except TundishError:
            continue
        raise AssertionError


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\u202e", "two\nlines", "x" * 5000])
def test_what_a_document_says_cannot_steer_a_terminal_through_a_refusal(
    hostile: str,
) -> None:
    """Escape sequences, right-to-left marks and floods in names, values and key hints."""
    bundle = canonical.loads(BUNDLE)
    assert isinstance(bundle, dict)
    material: canonical.Json = {"publicKey": {"hint": hostile}, "tlogEntries": []}
    of_unknown = canonical.dumps({**bundle, "verificationMaterial": material})
    another = canonical.dumps({"predicateType": hostile})
    odd = canonical.dumps({"format": "tundish.grant", hostile: 1, "grant": hostile})
    attempts: list[tuple[Callable[[bytes], object], bytes]] = [
        (lambda data: model_signature.verify(data, [KEY.public]), of_unknown),
        (
            lambda data: certificate.read(data, [KEY.public]),
            dsse.sign(certificate.PAYLOAD_TYPE, another, KEY),
        ),
        (
            lambda data: grant.read(data, [KEY.public]),
            dsse.sign(grant.PAYLOAD_TYPE, odd, KEY),
        ),
    ]
    for door, data in attempts:
        with pytest.raises(RefusedError) as refused:
            door(data)
        assert refused.value.message.isprintable()
        assert len(refused.value.message) < 1000

"""Laws of package signatures: one form, and no changed byte."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import RefusedError, UnsafePathError
from tundish.seal import base64s, dsse, foreign, model_signature
from tundish.seal.errors import (
    SignatureInvalidError,
    SignatureMalformedError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import FileFacts, facts_of
from tundish.seal.statement import PackageStatement, make_statement

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = SigningKey.generate()
CONTENT = {
    "graph.onnx": b"graph",
    "card.json": b"{}",
    "a.txt": b"first",
    "a/b.txt": b"second",
}
FILES = {name: facts_of(data) for name, data in CONTENT.items()}


def statement(version: int = 1) -> PackageStatement:
    return make_statement(
        product="C34.27.water-pump",
        version=version,
        not_after="2027-01-01T00:00:00Z",
        created_at="2026-05-04T06:00:00Z",
        parents=(of_bytes(b"data"),),
    )


def signed(files: dict[str, FileFacts] | None = None) -> bytes:
    return model_signature.sign(files or FILES, statement(), KEY)


def test_a_signature_gives_back_files_and_statement() -> None:
    found = model_signature.verify(signed(), [SigningKey.generate().public, KEY.public])
    assert found.files == FILES
    assert found.statement == statement()
    assert found.signer == KEY.public.key_id


def test_the_digest_does_not_depend_on_the_signature() -> None:
    one = model_signature.verify(signed(), [KEY.public])
    two = model_signature.verify(signed(), [KEY.public])
    assert signed() != signed()
    assert one.digest == two.digest


def test_no_changed_byte_of_a_signature_file_verifies() -> None:
    bundle = signed()
    for at in range(len(bundle)):
        for bit in (0, at % 8):
            changed = bytearray(bundle)
            changed[at] ^= 1 << bit
            with pytest.raises(RefusedError):
                model_signature.verify(bytes(changed), [KEY.public])


def test_the_same_meaning_in_other_bytes_is_refused() -> None:
    bundle = signed()
    value = canonical.loads(bundle)
    assert isinstance(value, dict)
    pretty = canonical.pretty(value).encode()
    for changed in (pretty, bundle + b"\n", b" " + bundle, bundle.replace(b":", b": ")):
        with pytest.raises(SignatureMalformedError):
            model_signature.verify(changed, [KEY.public])


def rewritten(change: dict[str, Json]) -> bytes:
    """Return a bundle whose envelope was changed, in canonical form."""
    value = canonical.loads(signed())
    assert isinstance(value, dict)
    envelope = value["dsseEnvelope"]
    assert isinstance(envelope, dict)
    return canonical.dumps({**value, "dsseEnvelope": {**envelope, **change}})


def test_the_twin_of_a_signature_is_refused() -> None:
    value = canonical.loads(signed())
    envelope = value["dsseEnvelope"]  # type: ignore[index,call-overload]
    raw = base64.b64decode(envelope["signatures"][0]["sig"])  # type: ignore[index,call-overload,arg-type]
    r, s = decode_dss_signature(raw)
    twin = base64s.encode(encode_dss_signature(r, ORDER - s))
    line: dict[str, Json] = {"keyid": "", "sig": twin}
    with pytest.raises((SignatureMalformedError, SignatureInvalidError)):
        model_signature.verify(rewritten({"signatures": [line]}), [KEY.public])


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": [{"keyid": "x", "sig": "QQ=="}]},
        {"signatures": []},
        {"payloadType": "application/json"},
        {"payload": base64s.encode(b"{}")},
        {"more": 1},
    ],
)
def test_another_envelope_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises((SignatureMalformedError, SignatureInvalidError)):
        model_signature.verify(rewritten(change), [KEY.public])


def test_an_unknown_signer_is_refused() -> None:
    for trusted in ([], [SigningKey.generate().public]):
        with pytest.raises(SignerUntrustedError):
            model_signature.verify(signed(), trusted)


def payload_of(bundle: bytes) -> dict[str, Json]:
    value = canonical.loads(bundle)
    text = value["dsseEnvelope"]["payload"]  # type: ignore[index,call-overload]
    inner = canonical.loads(base64s.decode(text, what="payload"))
    assert isinstance(inner, dict)
    return inner


def signed_payload(payload: bytes) -> bytes:
    signature = KEY.sign(dsse.encode_for_signing(model_signature.PAYLOAD_TYPE, payload))
    return model_signature._bundle(payload, signature, KEY.public.hint)


def test_statements_that_tundish_would_not_write_are_refused_though_signed() -> None:
    payload = payload_of(signed())
    predicate = payload["predicate"]
    assert isinstance(predicate, dict)
    said = predicate["tundish"]
    assert isinstance(said, dict)
    files = predicate["resources"]
    assert isinstance(files, list)
    wrong_predicates: list[dict[str, Json]] = [
        {**predicate, "resources": files[::-1]},
        {**predicate, "resources": files + files[:1]},
        {**predicate, "resources": files[1:]},
        {**predicate, "resources": []},
        {**predicate, "resources": 5},
        {**predicate, "serialization": {"method": "files"}},
        {**predicate, "tundish": {}},
        {**predicate, "tundish": {**said, "version": 0}},
        {**predicate, "tundish": {**said, "version": "1"}},
        {**predicate, "tundish": {**said, "not_after": "tomorrow"}},
        {**predicate, "tundish": {**said, "sizes": {}}},
    ]
    texts = [
        canonical.dumps({**payload, "predicate": item}) for item in wrong_predicates
    ]
    texts += [
        canonical.dumps({**payload, "subject": []}),
        canonical.dumps({**payload, "_type": "other"}),
        canonical.pretty(payload).encode(),
        b"[]",
    ]
    for text in texts:
        with pytest.raises(SignatureMalformedError):
            model_signature.verify(signed_payload(text), [KEY.public])


def test_later_minor_fields_are_kept_and_verify() -> None:
    payload = payload_of(signed())
    predicate = payload["predicate"]
    assert isinstance(predicate, dict)
    assert isinstance(predicate["tundish"], dict)
    later: dict[str, Json] = {**predicate["tundish"], "added_later": {"x": 1}}
    text = canonical.dumps({**payload, "predicate": {**predicate, "tundish": later}})
    found = model_signature.verify(signed_payload(text), [KEY.public])
    assert found.statement.to_json()["added_later"] == {"x": 1}


@pytest.mark.parametrize(
    "name", ["model.sig", "MODEL.SIG", "signatures/x.sig", ".gitignore"]
)
def test_reserved_names_cannot_be_signed(name: str) -> None:
    with pytest.raises(SignatureMalformedError):
        signed({name: facts_of(b"x")})


def test_names_that_lead_outside_or_collide_cannot_be_signed() -> None:
    for name in ("../x", "/x", "a\\b", "a//b"):
        with pytest.raises(UnsafePathError):
            signed({name: facts_of(b"x")})
    with pytest.raises(SignatureMalformedError, match="upper and lower"):
        signed({"a.txt": facts_of(b"x"), "A.TXT": facts_of(b"x")})


@pytest.mark.parametrize(
    "change",
    [
        {"product": "has space"},
        {"version": 0},
        {"not_after": "2027-01-01T00:00:00+00:00"},
        {"parents": ("sha256:short",)},
    ],
)
def test_a_statement_of_the_wrong_form_is_refused(change: dict[str, object]) -> None:
    values: dict[str, object] = {
        "product": "p",
        "version": 1,
        "not_after": "2027-01-01T00:00:00Z",
        "created_at": "2026-01-01T00:00:00Z",
        **change,
    }
    with pytest.raises(TermsInvalidError):
        make_statement(**values)  # type: ignore[arg-type]


def test_our_own_signature_can_be_read_as_a_foreign_one() -> None:
    found = foreign.verify(signed(), [KEY.public])
    assert found.files == {name: facts.sha256 for name, facts in FILES.items()}


def foreign_bundle(payload: dict[str, Json]) -> bytes:
    return signed_payload(canonical.dumps(payload))


def test_foreign_statements_with_other_rules_are_refused() -> None:
    payload = payload_of(signed())
    predicate = payload["predicate"]
    assert isinstance(predicate, dict)
    rules = predicate["serialization"]
    files = predicate["resources"]
    assert isinstance(rules, dict)
    assert isinstance(files, list)
    assert isinstance(files[0], dict)
    wrong: list[dict[str, Json]] = [
        {**predicate, "serialization": {**rules, "allow_symlinks": True}},
        {**predicate, "serialization": {**rules, "method": "shards"}},
        {**predicate, "serialization": {**rules, "hash_type": "blake2"}},
        {**predicate, "serialization": {**rules, "ignore_paths": 5}},
        {**predicate, "serialization": {**rules, "ignore_paths": ["../.."]}},
        {**predicate, "resources": []},
        {**predicate, "resources": files * 2},
        {**predicate, "resources": [{**files[0], "algorithm": "md5"}, *files[1:]]},
        {**predicate, "resources": files[1:]},
    ]
    foreign.verify(foreign_bundle(payload), [KEY.public])
    for item in wrong:
        with pytest.raises((SignatureMalformedError, UnsafePathError)):
            foreign.verify(foreign_bundle({**payload, "predicate": item}), [KEY.public])
    with pytest.raises(SignatureMalformedError):
        foreign.verify(
            foreign_bundle({**payload, "predicateType": "other"}), [KEY.public]
        )

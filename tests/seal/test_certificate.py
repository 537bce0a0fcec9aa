from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tundish.kernel import canonical, digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError, TundishError
from tundish.seal import base64s, certificate, dsse
from tundish.seal.certificate import CertificateBody
from tundish.seal.errors import (
    CertificateDataChangedError,
    CertificateExpiredError,
    CertificateKindError,
    CertificateNotYetError,
    CertificateOlderError,
    CertificateOtherDataError,
    SignatureInvalidError,
    SignatureMalformedError,
    SignerUntrustedError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import SigningKey

KEY, OTHER = SigningKey.generate(), SigningKey.generate()
TRUSTED = [KEY.public]
ISSUED = datetime(2026, 5, 1, tzinfo=UTC)
DATA, ROOT = digest.of_bytes(b"data"), digest.of_bytes(b"root")
WHOLE: dict[str, Json] = {"letter": "B", "share": 0.976}


def body(**changes: Json) -> CertificateBody:
    fields: dict[str, Json] = {
        "format": "tundish.certificate",
        "form": 1,
        "version": 1,
        "issuer": KEY.public.key_id,
        "tool": "tundish 0.1.0",
        "issued_at": "2026-05-01T00:00:00Z",
        "not_after": "2027-05-01T00:00:00Z",
        "data": {
            "name": "export.csv",
            "digest": DATA,
            "size": 4,
            "count": 1,
            "files": [{"name": "export.csv", "size": 4, "root": ROOT, "sha256": DATA}],
        },
        "grade": {
            "letter": "B",
            "task": "regress",
            "scenario": None,
            "why": "B: a gate is open.",
            "rule": DATA,
            "gates": {"licence": "open"},
            "indicators": {"Q01": 1.0, "Q06": 0.976},
            "findings": {"duplicate-row": 1},
            "options": {"time": None},
            "report": digest.of_json(WHOLE),
            "whole": WHOLE,
        },
    }
    return CertificateBody.model_validate_json(canonical.dumps(fields | changes))


SEALED = certificate.sign(body(), KEY)


def signed_anew(change: dict[str, Json], inside: str = "") -> bytes:
    """Return a certificate whose statement was changed by the very key that is trusted."""
    payload, _ = dsse.verify(SEALED, TRUSTED, payload_type=certificate.PAYLOAD_TYPE)
    statement = json.loads(payload)
    (statement[inside] if inside else statement).update(change)
    return dsse.sign(certificate.PAYLOAD_TYPE, canonical.dumps(statement), KEY)


def test_a_certificate_says_what_was_signed() -> None:
    found = certificate.read(SEALED, TRUSTED)
    assert found.body == body()
    assert found.signer == KEY.public.key_id
    assert certificate.peek(SEALED) == found.body


def test_a_certificate_lists_all_files_or_none() -> None:
    """A list that lacks one would certify what nobody compares."""
    data = body().to_json()["data"]
    assert isinstance(data, dict)
    with pytest.raises(ValidationError, match="1 of 2 files are listed"):
        body(data={**data, "count": 2})
    assert body(data={**data, "count": 2, "files": []}).data.count == 2


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_changed_byte_never_verifies(place: int, flip: int) -> None:
    changed = bytearray(SEALED)
    changed[place] ^= flip
    with pytest.raises(RefusedError):
        certificate.read(bytes(changed), TRUSTED)


@pytest.mark.parametrize(
    "data",
    [
        SEALED + b"\n",
        b" " + SEALED,
        SEALED.replace(b'":', b'": ', 1),
        json.dumps(json.loads(SEALED), indent=1).encode(),
        b"{}",
        b"[]",
        b"",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(SignatureMalformedError):
        certificate.read(data, TRUSTED)


def test_another_signer_and_another_signature_are_refused() -> None:
    with pytest.raises(SignerUntrustedError):
        certificate.read(SEALED, [OTHER.public])
    envelope = json.loads(SEALED)
    payload = base64s.decode(envelope["payload"], what="payload")
    pae = dsse.encode_for_signing(certificate.PAYLOAD_TYPE, payload + b" ")
    envelope["signatures"][0]["sig"] = base64s.encode(KEY.sign(pae))
    with pytest.raises(SignatureInvalidError):
        certificate.read(canonical.dumps(envelope), TRUSTED)


@pytest.mark.parametrize(
    ("change", "inside", "refusal"),
    [
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "", CertificateKindError),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "", SignatureMalformedError),
        ({"subject": []}, "", SignatureMalformedError),
        (
            {"subject": [{"name": "x", "digest": {"sha256": "0" * 64}}]},
            "",
            SignatureMalformedError,
        ),
        ({"more": 1}, "", SignatureMalformedError),
        ({"issuer": DATA}, "predicate", SignatureMalformedError),
        ({"tool": "\x1b[2Jtundish"}, "predicate", SignatureMalformedError),
        ({"version": 0}, "predicate", SignatureMalformedError),
        ({"version": "1"}, "predicate", SignatureMalformedError),
        ({"form": 2}, "predicate", SignatureMalformedError),
        ({"not_after": "2027-05-01"}, "predicate", SignatureMalformedError),
        ({"not_after": "2026-05-01T00:00:00Z"}, "predicate", SignatureMalformedError),
        ({"grade": {}}, "predicate", SignatureMalformedError),
    ],
)
def test_a_statement_of_another_form_is_refused(
    change: dict[str, Json], inside: str, refusal: type[TundishError]
) -> None:
    with pytest.raises(refusal):
        certificate.read(signed_anew(change, inside), TRUSTED)


def test_a_signed_thing_of_another_kind_is_no_certificate() -> None:
    grant = dsse.sign("application/vnd.tundish.grant.v1+json", b"{}", KEY)
    with pytest.raises(SignatureMalformedError):
        certificate.read(grant, TRUSTED)


def test_a_report_that_does_not_fit_its_digest_is_refused() -> None:
    grade = body().grade.to_json() | {"whole": {"letter": "A"}}
    with pytest.raises(SignatureMalformedError, match="report"):
        certificate.read(signed_anew({"grade": grade}, "predicate"), TRUSTED)


def test_a_field_of_a_later_minor_form_is_kept() -> None:
    later = certificate.read(signed_anew({"later": 1}, "predicate"), TRUSTED)
    assert later.body.to_json()["later"] == 1


def test_a_letter_is_signed_in_its_own_name_only() -> None:
    with pytest.raises(SignatureMalformedError, match="issuer"):
        certificate.sign(body(), OTHER)


@pytest.mark.parametrize(
    ("days", "refusal"), [(-1, CertificateNotYetError), (365, CertificateExpiredError)]
)
def test_dates_hold(days: int, refusal: type[TundishError]) -> None:
    certificate.check_time(body(), ISSUED)
    certificate.check_time(body(), ISSUED + timedelta(days=364))
    with pytest.raises(refusal):
        certificate.check_time(body(), ISSUED + timedelta(days=days))


@pytest.mark.parametrize(
    ("files", "refusal", "said"),
    [
        ({"export.csv": DATA}, CertificateDataChangedError, "other bytes"),
        ({"export.csv": ROOT, "b.csv": DATA}, CertificateDataChangedError, "1 others"),
        ({"renamed.csv": ROOT}, CertificateOtherDataError, "under other names"),
        ({"b.csv": DATA}, CertificateOtherDataError, "the data set here is"),
    ],
)
def test_other_data_is_refused_and_named(
    files: dict[str, Digest], refusal: type[TundishError], said: str
) -> None:
    certificate.check_data(body(), DATA, {"export.csv": ROOT})
    with pytest.raises(refusal, match=said):
        certificate.check_data(body(), digest.of_bytes(b"else"), files)


def test_an_older_certificate_is_refused_once_a_newer_was_seen() -> None:
    seen = MemoryFreshness()
    first = certificate.read(SEALED, TRUSTED)
    second = certificate.read(certificate.sign(body(version=2), KEY), TRUSTED)
    forked = certificate.read(
        certificate.sign(body(version=2, tool="else"), KEY), TRUSTED
    )
    certificate.remember(first, seen)
    certificate.remember(second, seen)
    certificate.remember(second, seen)
    for late in (first, forked):
        with pytest.raises(CertificateOlderError):
            certificate.remember(late, seen)


def test_the_envelope_verifies_with_securesystemslib() -> None:
    upstream = pytest.importorskip("securesystemslib.dsse")
    signer = pytest.importorskip("securesystemslib.signer")
    envelope = upstream.Envelope.from_dict(json.loads(SEALED))
    key = signer.SSlibKey(
        KEY.public.key_id,
        "ecdsa",
        "ecdsa-sha2-nistp256",
        {"public": KEY.public.to_pem().decode()},
    )
    assert list(envelope.verify([key], 1)) == [KEY.public.key_id]
    envelope.payload += b" "
    with pytest.raises(Exception, match=r"[Ss]ignature"):
        envelope.verify([key], 1)


def test_the_statement_is_one_for_in_toto_attestation() -> None:
    statements = pytest.importorskip("in_toto_attestation.v1.statement")
    proto = pytest.importorskip("in_toto_attestation.v1.statement_pb2")
    formats = pytest.importorskip("google.protobuf.json_format")
    payload = base64s.decode(json.loads(SEALED)["payload"], what="payload")
    parsed = formats.Parse(payload, proto.Statement())
    statement = statements.Statement.copy_from_pb(parsed)
    statement.validate()
    assert statement.pb.predicate_type == certificate.PREDICATE_TYPE
    whole, file = statement.pb.subject
    assert dict(whole.digest) == {"tundishDataV1": digest.hex_part(DATA)}
    assert dict(file.digest) == {"sha256": digest.hex_part(DATA)}

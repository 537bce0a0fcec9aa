"""Every byte of a grant and of a certificate, changed one by one: none passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests import tamper

from tundish.kernel import canonical, digest
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError
from tundish.seal import armour, certificate, dsse, envelope, grant
from tundish.seal.certificate import CertificateBody
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY, DEVICE = SigningKey.generate(), DeviceKey.generate()
TRUSTED = [KEY.public]
IDENTITY = envelope.new_identity()
PACKAGE, OTHER_PACKAGE = digest.of_bytes(b"package"), digest.of_bytes(b"other")
DATA = digest.of_bytes(b"data")

Door = Callable[[bytes], object]


def granted(
    version: int = 1, *, package: Digest = PACKAGE, device: DeviceKey = DEVICE
) -> bytes:
    terms = grant.make_terms(
        purpose="trial on line 3",
        not_before=NOW,
        not_after=NOW + timedelta(days=30),
        version=version,
    )
    return grant.issue(
        package=package,
        identity=IDENTITY,
        device=device.public,
        terms=terms,
        key=KEY,
        now=NOW,
    )


def open_grant(data: bytes, seen: MemoryFreshness | None = None) -> object:
    return grant.open_grant(
        data,
        device=DEVICE,
        trusted=TRUSTED,
        package=PACKAGE,
        now=NOW,
        seen=seen or MemoryFreshness(),
    )


def certified(version: int = 1, letter: str = "B") -> bytes:
    fields: canonical.Json = {
        "format": "tundish.certificate",
        "form": 1,
        "version": version,
        "issuer": KEY.public.key_id,
        "tool": "tundish 0.1.0",
        "issued_at": "2026-05-01T00:00:00Z",
        "not_after": "2027-05-01T00:00:00Z",
        "data": {"name": "a.csv", "digest": DATA, "size": 4, "count": 1},
        "grade": {
            "letter": letter,
            "task": "regress",
            "scenario": None,
            "why": "A gate is open.",
            "rule": DATA,
            "gates": {"licence": "open"},
            "indicators": {"Q01": 1.0},
            "findings": {},
            "options": {},
            "report": DATA,
        },
    }
    body = CertificateBody.model_validate_json(canonical.dumps(fields))
    return certificate.sign(body, KEY)


def read_certificate(data: bytes) -> object:
    return certificate.read(data, TRUSTED)


# what a changed byte may be refused as, and nothing else: the name of the signer is part
# of what can be changed, and a name that nobody has is an unknown signer
CASES: list[tuple[str, bytes, Door, set[str]]] = [
    ("grant", granted(), open_grant, {"grant-tampered", "signer-untrusted"}),
    (
        "certificate",
        certified(),
        read_certificate,
        {"signature-malformed", "signature-invalid", "signer-untrusted"},
    ),
]


@pytest.mark.parametrize(
    ("data", "door", "allowed"), [item[1:] for item in CASES], ids=[c[0] for c in CASES]
)
def test_every_byte_of_a_grant_and_a_certificate_counts(
    data: bytes, door: Door, allowed: set[str]
) -> None:
    door(data)
    found = tamper.codes(tamper.flipped(data), door)
    assert set(found) <= allowed, found
    assert found.total() == 2 * len(data)
    shifted = tamper.codes(tamper.shifted(data), door)
    assert set(shifted) <= allowed, shifted
    assert shifted.total() == 4 * len(data) + 3


def test_a_text_of_a_grant_opens_only_if_the_signed_bytes_in_it_are_the_same() -> None:
    """Mail may add blanks and empty lines around a text; nothing else passes."""
    signed = granted()
    text = grant.to_text(signed)
    open_grant(text)
    allowed = {"grant-tampered", "signer-untrusted"}
    flipped = tamper.codes(tamper.flipped(text), open_grant)
    assert set(flipped) <= allowed, flipped

    def inner(data: bytes) -> None:
        open_grant(data)
        assert armour.unwrap("GRANT", data) == signed

    shifted = tamper.codes(tamper.shifted(text), inner)
    assert set(shifted) <= {*allowed, "accepted"}, shifted
    assert shifted["accepted"] == 4  # the last newline: left out, twice, doubled, cut


@pytest.mark.parametrize("size", [1, 47, 48, 49, 95, 96, 97])
def test_a_text_has_one_form_whether_its_last_line_is_full_or_not(size: int) -> None:
    """How long a grant is, is chance: a signature has 70 to 72 bytes, a purpose any."""
    data = bytes(range(size))

    def inner(text: bytes) -> None:
        assert armour.unwrap("GRANT", text) == data

    text = armour.wrap("GRANT", data)
    inner(text)
    assert tamper.codes(tamper.shifted(text), inner)["accepted"] == 4


def test_an_attempt_that_passes_would_be_counted() -> None:
    found = tamper.codes(tamper.flipped(granted(), [0]), lambda _: None)
    assert found == {"accepted": 2}


REPLAYS: list[tuple[bytes, str]] = [
    (granted(package=OTHER_PACKAGE), "grant-other-package"),
    (granted(device=DeviceKey.generate()), "grant-other-device"),
    (certified(), "grant-tampered"),  # a signed thing of another kind
]


@pytest.mark.parametrize(("data", "code"), REPLAYS)
def test_a_grant_of_another_place_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        open_grant(data)
    assert refused.value.code == code


def test_an_old_grant_and_an_old_certificate_are_not_taken_for_the_new_ones() -> None:
    seen = MemoryFreshness()
    older, newer = granted(1), granted(2)
    open_grant(older, seen)
    open_grant(newer, seen)
    with pytest.raises(RefusedError) as refused:
        open_grant(older, seen)
    assert refused.value.code == "grant-older"
    bad, good = certificate.read(certified(1), TRUSTED), certified(2, "A")
    certificate.remember(certificate.read(good, TRUSTED), seen)
    with pytest.raises(RefusedError) as refused:
        certificate.remember(bad, seen)
    assert refused.value.code == "certificate-older"


def test_parts_of_two_valid_envelopes_do_not_fit_together() -> None:
    """The payload of one with the signature of the other, and a grant as certificate."""
    pairs: list[tuple[bytes, bytes, Door]] = [
        (granted(1), granted(2), open_grant),
        (certified(1), certified(2), read_certificate),
        (granted(), certified(), open_grant),
        (certified(), granted(), read_certificate),
    ]
    for one, two, door in pairs:
        first, second = canonical.loads(one), canonical.loads(two)
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        for name in ("payload", "payloadType", "signatures"):
            if first[name] == second[name]:
                continue
            mixed = canonical.dumps({**first, name: second[name]})
            with pytest.raises(RefusedError) as refused:
                door(mixed)
            assert refused.value.code in {
                "grant-tampered",
                "signature-invalid",
                "signature-malformed",
            }


def test_the_type_of_a_payload_is_signed() -> None:
    """Else a certificate could be passed off as a grant by renaming it."""
    inner, _ = dsse.verify(certified(), TRUSTED, payload_type=certificate.PAYLOAD_TYPE)
    renamed = dsse.sign(grant.PAYLOAD_TYPE, inner, KEY)
    with pytest.raises(RefusedError) as refused:
        open_grant(renamed)
    assert refused.value.code == "grant-tampered"

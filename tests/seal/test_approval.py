"""An approval says who allows what until when, and not one byte of it can be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests import tamper

from tundish.kernel import digest
from tundish.kernel.errors import RefusedError
from tundish.seal import approval, armour, dsse
from tundish.seal.approval import Asked
from tundish.seal.errors import ApprovalInvalidError, TermsInvalidError
from tundish.seal.keys import SigningKey

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
ASKED = Asked(
    line="kiln", package=digest.of_bytes(b"package"), bounds=digest.of_bytes(b"bounds")
)


def approved(key: SigningKey = KEY, note: str = "seen on site") -> bytes:
    until = NOW + timedelta(days=90)
    return approval.sign(ASKED, now=NOW, not_after=until, note=note, key=key)


def read(text: bytes) -> object:
    return approval.read(text, [KEY.public])


def test_an_approval_says_what_was_signed() -> None:
    found = approval.read(approved(), [OTHER.public, KEY.public])
    assert found.body.issuer == KEY.public.key_id
    assert (found.body.line, found.body.note) == ("kiln", "seen on site")
    assert (found.body.package, found.body.bounds) == (ASKED.package, ASKED.bounds)
    assert found.not_after == NOW + timedelta(days=90)


def test_every_byte_of_an_approval_counts() -> None:
    text = approved()
    found = tamper.codes(tamper.flipped(text), read)
    assert set(found) <= {"approval-invalid", "signer-untrusted"}, found
    assert found.total() == 2 * len(text)


def test_an_approval_of_a_key_that_is_not_trusted_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        read(approved(OTHER))
    assert refused.value.code == "signer-untrusted"


def test_an_approval_in_the_name_of_another_is_refused() -> None:
    payload, _ = dsse.verify(
        armour.unwrap(approval.KIND, approved(OTHER)),
        [OTHER.public],
        payload_type=approval.PAYLOAD_TYPE,
    )
    forged = armour.wrap(approval.KIND, dsse.sign(approval.PAYLOAD_TYPE, payload, KEY))
    with pytest.raises(ApprovalInvalidError, match="by another key than it names"):
        read(forged)


def test_a_note_has_its_end() -> None:
    with pytest.raises(TermsInvalidError, match="The field note of the approval"):
        approved(note="x" * 301)

"""A plant's evidence says what was seen on whose line, and not one byte can be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests import tamper

from tundish.kernel import digest
from tundish.kernel.errors import RefusedError
from tundish.seal import armour, dsse, plantevidence
from tundish.seal.errors import EvidenceInvalidError, TermsInvalidError
from tundish.seal.keys import SigningKey
from tundish.seal.plantevidence import Seen

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
SEEN = Seen(
    plant="pump house 3", scenario="C34.27.water-pump",
    contract=digest.of_bytes(b"contract"), package=digest.of_bytes(b"package"),
    data=digest.of_bytes(b"data"), judged=400,
    first="2026-04-01T00:00:00Z", last="2026-05-01T00:00:00Z",
    answers=40_000, withheld=120, right=3, wrong=1, unclear=0,
)  # fmt: skip


def signed(key: SigningKey = KEY, seen: Seen = SEEN, days: int = 90) -> bytes:
    until = NOW + timedelta(days=days)
    return plantevidence.sign(seen, now=NOW, not_after=until, key=key)


def read(text: bytes) -> object:
    return plantevidence.read(text, [KEY.public], now=NOW)


def test_evidence_says_what_was_seen() -> None:
    found = plantevidence.read(signed(), [OTHER.public, KEY.public], now=NOW)
    assert found.body.seen == SEEN
    assert found.body.issuer == KEY.public.key_id


def test_every_byte_of_evidence_counts() -> None:
    text = signed()
    found = tamper.codes(tamper.flipped(text), read)
    assert set(found) <= {"evidence-invalid", "signer-untrusted"}, found
    assert found.total() == 2 * len(text)


def test_evidence_of_a_stranger_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        read(signed(OTHER))
    assert refused.value.code == "signer-untrusted"


def test_evidence_in_the_name_of_another_is_refused() -> None:
    payload, _ = dsse.verify(
        armour.unwrap(plantevidence.KIND, signed(OTHER)),
        [OTHER.public],
        payload_type=plantevidence.PAYLOAD_TYPE,
    )
    again = dsse.sign(plantevidence.PAYLOAD_TYPE, payload, KEY)
    with pytest.raises(EvidenceInvalidError, match="another key"):
        read(armour.wrap(plantevidence.KIND, again))


def test_evidence_ends() -> None:
    with pytest.raises(EvidenceInvalidError, match="ended"):
        read(signed(days=0))


def test_a_count_that_is_none_is_not_signed() -> None:
    with pytest.raises(TermsInvalidError, match="contract"):
        signed(seen=SEEN.model_copy(update={"contract": "sha256:short"}))

"""A change record allows one switch within one window, and not one byte of it can be altered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests import tamper

from tundish.kernel import digest
from tundish.kernel.errors import RefusedError
from tundish.seal import armour, change, dsse
from tundish.seal.change import SeenComparison, Wanted
from tundish.seal.errors import (
    ChangeInvalidError,
    ChangeNotNowError,
    TermsInvalidError,
)
from tundish.seal.keys import SigningKey

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
WINDOW = (NOW + timedelta(hours=8), NOW + timedelta(hours=9))
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
OLD, NEW = digest.of_bytes(b"old"), digest.of_bytes(b"new")
WANTED = Wanted(line="kiln", old=OLD, new=NEW)
SEEN = SeenComparison(
    windows=1000, agreed=980, disagreed=15, abstained_old=3, abstained_new=5,
    alarms_old=2, alarms_new=4,
)  # fmt: skip


def signed(key: SigningKey = KEY, **changed: Any) -> bytes:
    terms: dict[str, Any] = {
        "now": NOW,
        "window": WINDOW,
        "note": "two weeks in shadow",
    }
    return change.sign(
        changed.pop("wanted", WANTED), SEEN, **(terms | changed), key=key
    )


def read(text: bytes) -> change.Change:
    return change.read(text, [KEY.public])


def test_a_change_record_says_what_was_signed() -> None:
    body = change.read(signed(), [OTHER.public, KEY.public]).body
    assert body.issuer == KEY.public.key_id
    assert (body.line, body.old, body.new) == ("kiln", OLD, NEW)
    assert body.seen == SEEN
    assert body.note == "two weeks in shadow"


def test_every_byte_of_a_change_record_counts() -> None:
    text = signed()
    found = tamper.codes(tamper.flipped(text), read)
    assert set(found) <= {"change-invalid", "signer-untrusted"}, found
    assert found.total() == 2 * len(text)


def test_a_change_record_of_a_key_that_is_not_trusted_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        read(signed(OTHER))
    assert refused.value.code == "signer-untrusted"


def test_a_change_record_in_the_name_of_another_is_refused() -> None:
    payload, _ = dsse.verify(
        armour.unwrap(change.KIND, signed(OTHER)),
        [OTHER.public],
        payload_type=change.PAYLOAD_TYPE,
    )
    forged = armour.wrap(change.KIND, dsse.sign(change.PAYLOAD_TYPE, payload, KEY))
    with pytest.raises(ChangeInvalidError, match="by another key than it names"):
        read(forged)


def test_a_switch_is_allowed_inside_the_window_and_at_no_other_moment() -> None:
    record, second = read(signed()), timedelta(seconds=1)
    for moment in (WINDOW[0], WINDOW[1] - second):
        record.check(WANTED, moment)
    for moment in (NOW, WINDOW[0] - second, WINDOW[1], WINDOW[1] + second):
        with pytest.raises(ChangeNotNowError, match="holds from 2026-05-04T14:00:00Z"):
            record.check(WANTED, moment)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(line="mill", old=OLD, new=NEW), "for the line kiln, expected mill"),
        (Wanted(line="kiln", old=NEW, new=OLD), "for the old package"),
        (
            Wanted(line="kiln", old=OLD, new=digest.of_bytes(b"x")),
            "for the new package",
        ),
    ],
)
def test_a_change_record_is_for_one_switch_of_one_line(
    wanted: Wanted, said: str
) -> None:
    with pytest.raises(ChangeInvalidError, match=said):
        read(signed()).check(wanted, WINDOW[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"window": (WINDOW[1], WINDOW[0])},
        {"window": (WINDOW[0], WINDOW[0])},
        {"wanted": Wanted(line="kiln", old=OLD, new=OLD)},
        {"wanted": Wanted(line="", old=OLD, new=NEW)},
        {"note": "x" * 301},
    ],
)
def test_a_change_record_that_makes_no_sense_is_not_signed(
    changed: dict[str, Any],
) -> None:
    with pytest.raises(TermsInvalidError, match="change record"):
        signed(**changed)

"""Laws of request and grant files: whole or refused, and mail does no harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel import canonical
from tundish.kernel.digest import of_bytes
from tundish.seal import armour, base64s, dsse, envelope, grant, request
from tundish.seal.errors import (
    GrantTamperedError,
    RequestDamagedError,
    SignatureMalformedError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey, VerifyKey
from tundish.seal.secret import SecretText

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY, DEVICE = SigningKey.generate(), DeviceKey.generate()
PACKAGE = of_bytes(b"package")
GOLDEN = Path(__file__).parent / "golden"


def asked() -> bytes:
    wish = request.make_wish(
        product="pump", package=PACKAGE, purpose="line 3", days=90, uses=5
    )
    return request.make(wish, device=DEVICE.public, key=KEY, now=NOW)


def granted() -> bytes:
    terms = grant.make_terms(
        purpose="line 3", not_before=NOW, not_after=NOW + timedelta(days=30)
    )
    return grant.to_text(
        grant.issue(
            package=PACKAGE,
            identity=envelope.new_identity(),
            device=DEVICE.public,
            terms=terms,
            key=KEY,
            now=NOW,
        )
    )


def test_a_request_says_who_asks_for_what() -> None:
    found = request.read(asked())
    assert found.device.to_text() == DEVICE.public.to_text()
    assert found.signer.key_id == KEY.public.key_id
    assert (found.wish.days, found.wish.uses, found.wish.package) == (90, 5, PACKAGE)
    assert max(map(len, asked().splitlines())) <= 64


MAIL: list[Callable[[bytes], bytes]] = [
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data.replace(b"\n", b"  \t\n"),
    lambda data: data.replace(b"\n", b" \r\n"),
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: b"\n\n" + data + b"\r\n\r\n",
    lambda data: data.rstrip(b"\n"),
]


@pytest.mark.parametrize("through", MAIL, ids=range(len(MAIL)))
def test_what_mail_does_to_a_text_does_no_harm(
    through: Callable[[bytes], bytes],
) -> None:
    assert request.read(through(asked())).wish.purpose == "line 3"
    assert grant.read(through(granted()), [KEY.public]).terms.purpose == "line 3"


HARM: list[Callable[[bytes], bytes]] = [
    lambda data: b"> " + data.replace(b"\n", b"\n> "),
    lambda data: b"Dear colleague,\n" + data,
    lambda data: data + b"Regards\n",
    lambda data: data.replace(b"\n", b"\n\n"),
    lambda data: data.replace(b"\n", b"\r"),
    lambda data: data.replace(b"A", b"=41", 1),
    lambda data: data + data,
    lambda data: data[:-40],
    lambda data: b"\n".join(data.splitlines()[:3] + data.splitlines()[4:]),
    lambda data: data.replace(b"BEGIN TUNDISH", b"BEGIN PGP"),
    lambda data: b"",
    lambda data: b"x" * (armour.MAX_BYTES + 1),
]


@pytest.mark.parametrize("through", HARM, ids=range(len(HARM)))
def test_anything_more_than_that_is_refused(through: Callable[[bytes], bytes]) -> None:
    with pytest.raises(RequestDamagedError):
        request.read(through(asked()))
    with pytest.raises(GrantTamperedError):
        grant.read(through(granted()), [KEY.public])


def test_no_changed_byte_of_a_request_or_a_grant_text_is_taken() -> None:
    wish, text = asked(), granted()
    for data, read in (
        (wish, request.read),
        (text, lambda changed: grant.read(changed, [KEY.public])),
    ):
        for at in range(len(data)):
            changed = bytearray(data)
            changed[at] ^= 1 << (at % 8)
            with pytest.raises(
                (RequestDamagedError, GrantTamperedError, SignerUntrustedError)
            ):
                read(bytes(changed))


@given(st.binary(max_size=300))
def test_any_bytes_have_one_text_and_come_back(data: bytes) -> None:
    if data:
        assert armour.unwrap("GRANT", armour.wrap("GRANT", data)) == data
    with pytest.raises(SignatureMalformedError):
        armour.unwrap("GRANT", data)


def test_a_request_signed_by_another_key_than_it_carries_is_refused() -> None:
    thief = SigningKey.generate()
    data = canonical.loads(armour.unwrap(request.KIND, asked()))
    assert isinstance(data, dict)
    payload = base64s.decode(data["payload"], what="payload")
    again = dsse.sign(request.PAYLOAD_TYPE, payload, thief)
    with pytest.raises(RequestDamagedError):
        request.read(armour.wrap(request.KIND, again))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"days": 0}, "days"), ({"days": 400}, "days"), ({"purpose": "\x1b[2J"}, "purpose"),
     ({"product": "../x"}, "product"), ({"uses": 0}, "uses"), ({"package": "x"}, "package")],
)  # fmt: skip
def test_a_wish_of_the_wrong_form_is_refused(
    wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(TermsInvalidError, match=field):
        request.make_wish(**{"product": "pump", "purpose": "p", **wrong})  # type: ignore[arg-type]


def test_a_grant_of_the_first_version_still_opens(tmp_path: Path) -> None:
    """A golden file: written before grants had a grace period or a text form."""
    key = tmp_path / "device.pem"
    key.write_bytes((GOLDEN / "grant-1.device.pem").read_bytes())
    key.chmod(0o600)
    found = grant.open_grant(
        (GOLDEN / "grant-1.json").read_bytes(),
        device=DeviceKey.load(key),
        trusted=[VerifyKey.load(GOLDEN / "grant-1.signer.pub")],
        package=PACKAGE,
        now=NOW,
        seen=MemoryFreshness(),
    )
    assert isinstance(found.identity.secret, SecretText)
    assert (
        found.identity.recipient == (GOLDEN / "grant-1.recipient").read_text().strip()
    )
    assert (found.terms.grace_s, found.terms.uses, found.uses_left) == (0, 3, 2)

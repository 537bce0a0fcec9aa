"""Laws of grants: one device, one package, until a date, and no changed byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tundish.kernel import canonical
from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import RefusedError
from tundish.seal import armour, base64s, dsse, envelope, grant
from tundish.seal.errors import (
    ClockSetBackError,
    GrantExpiredError,
    GrantNotYetError,
    GrantOlderError,
    GrantOtherDeviceError,
    GrantOtherPackageError,
    GrantTamperedError,
    GrantUsedUpError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey, VerifyKey

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY = SigningKey.generate()
DEVICE = DeviceKey.generate()
IDENTITY = envelope.new_identity()
PACKAGE = of_bytes(b"package")


def terms(
    days: int = 30, uses: int | None = None, version: int = 1
) -> grant.GrantTerms:
    return grant.make_terms(
        purpose="trial on line 3",
        not_before=NOW,
        not_after=NOW + timedelta(days=days),
        uses=uses,
        version=version,
    )


def issued(
    made: grant.GrantTerms | None = None,
    key: SigningKey = KEY,
    *,
    device: DeviceKey = DEVICE,
) -> bytes:
    return grant.issue(
        package=PACKAGE,
        identity=IDENTITY,
        device=device.public,
        terms=made or terms(),
        key=key,
        now=NOW,
    )


def opened(
    data: bytes,
    *,
    now: datetime = NOW,
    device: DeviceKey = DEVICE,
    seen: MemoryFreshness | None = None,
    trusted: list[VerifyKey] | None = None,
) -> grant.OpenedGrant:
    return grant.open_grant(
        data,
        device=device,
        trusted=[KEY.public] if trusted is None else trusted,
        package=PACKAGE,
        now=now,
        seen=seen or MemoryFreshness(),
    )


def test_a_grant_gives_the_identity_to_its_device() -> None:
    found = opened(issued(terms(uses=3)))
    assert found.identity.secret == IDENTITY.secret
    assert found.identity.recipient == IDENTITY.recipient
    assert found.uses_left == 2
    assert found.seconds_left == 30 * 86400
    assert found.issuer == KEY.public.key_id
    assert IDENTITY.secret.reveal() not in repr(found)


def test_the_secret_is_nowhere_in_the_grant() -> None:
    data = issued()
    secret = IDENTITY.secret.reveal().encode()
    value = canonical.loads(data)
    assert isinstance(value, dict)
    assert secret not in data
    assert secret not in base64s.decode(value["payload"], what="payload")


def test_no_changed_byte_of_a_grant_opens() -> None:
    data = issued()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises((GrantTamperedError, SignerUntrustedError)):
            opened(bytes(changed))
    for cut in range(len(data)):
        with pytest.raises(GrantTamperedError):
            opened(data[:cut])
    for added in (b" ", b"\n", b"\x00"):
        with pytest.raises(GrantTamperedError):
            opened(data + added)


def words(data: bytes) -> dict[str, canonical.Json]:
    value = canonical.loads(data)
    assert isinstance(value, dict)
    inner = canonical.loads(base64s.decode(value["payload"], what="payload"))
    assert isinstance(inner, dict)
    return inner


@pytest.mark.parametrize(
    "edit",
    [
        {"terms": {**terms().to_json(), "not_after": "2099-01-01T00:00:00Z"}},
        {"terms": {**terms().to_json(), "uses": 1000}},
        {"terms": {**terms().to_json(), "purpose": "anything"}},
        {"terms": {**terms().to_json(), "new": True}},
        {"package": of_bytes(b"other package")},
        {"device": DeviceKey.generate().public.device_id},
        {"grant": "grant-1"},
        {"extra": 1},
    ],
)
def test_an_edited_grant_yields_no_key_even_signed_again(
    edit: dict[str, canonical.Json],
) -> None:
    """The owner's own key cannot stretch a grant: the key is bound to the words."""
    payload = canonical.dumps({**words(issued()), **edit})
    again = dsse.sign(grant.PAYLOAD_TYPE, payload, KEY)
    with pytest.raises(
        (GrantTamperedError, GrantOtherDeviceError, GrantOtherPackageError)
    ):
        opened(again)


def test_a_grant_taken_over_by_another_trusted_key_is_refused() -> None:
    thief = SigningKey.generate()
    taken = {**words(issued()), "issuer": thief.public.key_id}
    trusted = [KEY.public, thief.public]
    for value in (taken, words(issued())):
        again = dsse.sign(grant.PAYLOAD_TYPE, canonical.dumps(value), thief)
        with pytest.raises(GrantTamperedError):
            opened(again, trusted=trusted)


def test_each_refusal_has_its_own_code() -> None:
    late = NOW + timedelta(days=30)
    data = issued()
    with pytest.raises(GrantExpiredError):
        opened(data, now=late)
    with pytest.raises(GrantNotYetError):
        opened(data, now=NOW - timedelta(seconds=1))
    with pytest.raises(GrantOtherDeviceError):
        opened(data, device=DeviceKey.generate())
    with pytest.raises(SignerUntrustedError):
        opened(data, trusted=[])
    with pytest.raises(GrantOtherPackageError):
        grant.open_grant(
            data,
            device=DEVICE,
            trusted=[KEY.public],
            package=of_bytes(b"another"),
            now=NOW,
            seen=MemoryFreshness(),
        )


def test_expiry_survives_a_clock_set_back() -> None:
    seen = MemoryFreshness()
    data = issued()
    with pytest.raises(GrantExpiredError):
        opened(data, now=NOW + timedelta(days=31), seen=seen)
    with pytest.raises(ClockSetBackError):
        opened(data, now=NOW + timedelta(days=1), seen=seen)


def test_uses_are_counted_only_for_what_opens() -> None:
    seen = MemoryFreshness()
    data = issued(terms(uses=2))
    with pytest.raises(GrantOtherDeviceError):
        opened(data, device=DeviceKey.generate(), seen=seen)
    assert opened(data, seen=seen).uses_left == 1
    assert opened(data, seen=seen).uses_left == 0
    with pytest.raises(GrantUsedUpError):
        opened(data, seen=seen)


def test_a_renewal_replaces_the_grant_without_a_new_package() -> None:
    seen = MemoryFreshness()
    old, new = issued(), issued(terms(days=60, version=2))
    opened(old, seen=seen)
    assert opened(new, seen=seen).terms.version == 2
    with pytest.raises(GrantOlderError):
        opened(old, seen=seen)


def test_a_grant_can_be_shown_without_a_device() -> None:
    body = grant.read(issued(), [KEY.public])
    assert body.terms.purpose == "trial on line 3"
    assert body.device == DEVICE.public.device_id


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"{}",
        b'{"key":"QQ=="}',
        b"not json",
        b'{"format":"tundish.grant","key":1}',
    ],
)
def test_a_signed_text_that_is_no_grant_is_refused(payload: bytes) -> None:
    with pytest.raises(GrantTamperedError):
        opened(dsse.sign(grant.PAYLOAD_TYPE, payload, KEY))


def test_a_grant_whose_key_is_no_identity_is_refused() -> None:
    value = {name: item for name, item in words(issued()).items() if name != "key"}
    sealed = DEVICE.public.encrypt(
        b"\xff\xfe", b"tundish.grant/1\n" + canonical.dumps(value)
    )
    payload = canonical.dumps({**value, "key": base64s.encode(sealed)})
    with pytest.raises(GrantTamperedError):
        opened(dsse.sign(grant.PAYLOAD_TYPE, payload, KEY))


@pytest.mark.parametrize("days", [0, -1])
def test_terms_that_end_before_they_begin_are_refused(days: int) -> None:
    with pytest.raises(TermsInvalidError, match=r"^The grant is wrong: not_after does"):
        terms(days=days)


def test_terms_of_the_wrong_form_are_refused() -> None:
    with pytest.raises(TermsInvalidError, match="uses"):
        terms(uses=0)
    with pytest.raises(TermsInvalidError, match="version"):
        terms(version=0)


def test_every_refusal_is_one_line_with_code_and_advice() -> None:
    with pytest.raises(RefusedError) as caught:
        opened(issued(), now=NOW + timedelta(days=99))
    line = caught.value.one_line()
    assert line.startswith("[grant-expired] ")
    assert "Advice: " in line
    assert "\n" not in line


def test_a_limit_of_answers_is_signed_and_absent_where_there_is_none() -> None:
    limited = grant.make_terms(
        purpose="trial",
        not_before=NOW,
        not_after=NOW + timedelta(days=30),
        answers_per_day=500,
    )
    assert "answers_per_day" not in terms().to_json()
    assert limited.to_json()["answers_per_day"] == 500
    data = grant.issue(
        package=PACKAGE,
        identity=IDENTITY,
        device=DEVICE.public,
        terms=limited,
        key=KEY,
        now=NOW,
    )
    assert opened(data).terms.answers_per_day == 500
    said = words(data)
    loose = {**said, "terms": {**limited.to_json(), "answers_per_day": 5000}}
    without = {**said, "terms": terms().to_json() | {"purpose": "trial"}}
    for edited in (loose, without):
        again = dsse.sign(grant.PAYLOAD_TYPE, canonical.dumps(edited), KEY)
        with pytest.raises(GrantTamperedError):
            opened(again)
    with pytest.raises(TermsInvalidError):
        grant.make_terms(
            purpose="trial",
            not_before=NOW,
            not_after=NOW + timedelta(days=1),
            answers_per_day=0,
        )


@pytest.mark.parametrize(
    ("file", "word"),
    [
        (b"", "holds no grant: no line"),
        (b"PK\x03\x04 a spreadsheet", "holds no grant: no line"),
        (DEVICE.public.to_text().encode(), "holds no grant: no line"),
        (KEY.public.to_pem(), r"\(it holds a public key\)"),
        (armour.wrap("REQUEST", b"{}"), r"\(it holds a request\)"),
    ],
    ids=["nothing", "a workbook", "a device's line", "a key", "a request"],
)
def test_another_file_is_not_called_a_grant_that_somebody_changed(
    file: bytes, word: str
) -> None:
    with pytest.raises(GrantTamperedError, match=word) as refused:
        grant.read(file, [])
    assert "was changed" not in refused.value.message

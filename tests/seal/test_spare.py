"""Laws of spare devices: no code, no key; and the time runs from the first opening."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tundish.kernel import canonical
from tundish.kernel.digest import of_bytes
from tundish.seal import base64s, dsse, envelope, grant, spare
from tundish.seal.errors import (
    GrantExpiredError,
    GrantOtherDeviceError,
    GrantSealedError,
    GrantTamperedError,
    SpareCodeError,
    TermsInvalidError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey
from tundish.seal.secret import SecretText

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
KEY, DEVICE = SigningKey.generate(), DeviceKey.generate()
IDENTITY = envelope.new_identity()
PACKAGE = of_bytes(b"package")
CODE = spare.new_code()
DAY_S = 86_400


def issued(run_s: int | None = 7 * DAY_S, code: SecretText | None = CODE) -> bytes:
    terms = grant.make_terms(
        purpose="spare",
        not_before=NOW,
        not_after=NOW + timedelta(days=365),
        spare_s=run_s,
    )
    return grant.issue(
        package=PACKAGE,
        identity=IDENTITY,
        device=DEVICE.public,
        terms=terms,
        key=KEY,
        now=NOW,
        code=code,
    )


def opened(
    data: bytes,
    code: SecretText | None,
    now: datetime = NOW,
    *,
    seen: MemoryFreshness | None = None,
    device: DeviceKey = DEVICE,
) -> grant.OpenedGrant:
    return grant.open_grant(
        data,
        device=device,
        trusted=[KEY.public],
        package=PACKAGE,
        now=now,
        seen=seen or MemoryFreshness(),
        code=code,
    )


def test_a_spare_opens_with_its_code_only() -> None:
    data = issued()
    with pytest.raises(GrantSealedError):
        opened(data, None)
    with pytest.raises(SpareCodeError, match="not the one"):
        opened(data, spare.new_code())
    with pytest.raises(GrantOtherDeviceError):
        opened(data, CODE, device=DeviceKey.generate())
    assert opened(data, CODE).identity.secret == IDENTITY.secret


def test_the_code_is_no_question_that_one_can_leave_out() -> None:
    """The owner's own key, signing the words without `spare`, gets no key either."""
    value = canonical.loads(issued())
    assert isinstance(value, dict)
    words = canonical.loads(base64s.decode(value["payload"], what="payload"))
    assert isinstance(words, dict)
    assert isinstance(words["terms"], dict)
    eased = {**words, "terms": {**words["terms"], "spare": None}}
    again = dsse.sign(grant.PAYLOAD_TYPE, canonical.dumps(eased), KEY)
    with pytest.raises(GrantTamperedError):
        opened(again, None)
    sealed = base64s.decode(words["key"], what="key")
    bare = {name: item for name, item in words.items() if name != "key"}
    inner = DEVICE.decrypt(sealed, b"tundish.grant/1\n" + canonical.dumps(bare))
    assert IDENTITY.secret.reveal().encode() not in inner


@pytest.mark.parametrize(
    "typed", [str.lower, lambda c: c.replace("-", " "), lambda c: f" {c}\n",
              lambda c: c.replace("0", "o").replace("1", "l")],
    ids=["small", "blanks", "around", "look-alikes"],
)  # fmt: skip
def test_a_code_may_be_typed_as_people_type(typed: object) -> None:
    assert callable(typed)
    opened(issued(), SecretText(typed(CODE.reveal())))


def test_a_mistyped_code_is_told_from_a_wrong_one() -> None:
    told = 0
    plain = CODE.reveal()
    for letter in spare.LETTERS:
        if letter != plain[0]:
            with pytest.raises(SpareCodeError) as caught:
                opened(issued(), SecretText(letter + plain[1:]))
            told += "mistyped" in caught.value.message
    assert told >= 24
    for wrong in ("", "U" * 25, plain[:-1], plain + "0", "é" * 25):
        with pytest.raises(SpareCodeError, match="mistyped"):
            opened(issued(), SecretText(wrong))


def test_a_spare_runs_from_its_first_opening_for_so_long() -> None:
    seen, data = MemoryFreshness(), issued()
    first = NOW + timedelta(days=100)
    found = opened(data, CODE, first, seen=seen)
    assert found.ends_at == first + timedelta(days=7)
    opened(data, CODE, first + timedelta(days=6), seen=seen)
    with pytest.raises(GrantExpiredError, match="activated"):
        opened(data, CODE, first + timedelta(days=7), seen=seen)
    late = NOW + timedelta(days=364)
    assert opened(data, CODE, late).ends_at == NOW + timedelta(days=365)


def test_a_code_belongs_to_a_spare_and_a_spare_has_a_code() -> None:
    for run_s, code in ((7 * DAY_S, None), (None, CODE)):
        with pytest.raises(TermsInvalidError):
            issued(run_s, code)
    with pytest.raises(TermsInvalidError, match="run_s"):
        issued(0)


def test_codes_differ_and_do_not_show() -> None:
    codes = {spare.new_code().reveal() for _ in range(50)}
    assert len(codes) == 50
    assert CODE.reveal() not in repr(CODE)
    assert all(len(code) == 29 for code in codes)

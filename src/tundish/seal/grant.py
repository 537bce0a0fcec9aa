"""Grants: one device may open one package until a date.

A grant is a signed statement that carries the package's age identity encrypted to the
device's key. The encryption is bound to the grant's own words (HPKE ``info``): whoever
edits a word gets no key, even with a signing key of their own. So a renewal or a new
device needs no new package.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from tundish.kernel import canonical, clock, ids
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, base64s, dsse, envelope, spare
from tundish.seal.envelope import Identity
from tundish.seal.errors import (
    EnvelopeClosedError,
    GrantExpiredError,
    GrantNotYetError,
    GrantOtherDeviceError,
    GrantOtherPackageError,
    GrantSealedError,
    GrantTamperedError,
    RecipientInvalidError,
    SignatureInvalidError,
    SignatureMalformedError,
    TermsInvalidError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.freshness import Freshness
from tundish.seal.keys import DeviceKey, DevicePublic, SigningKey, VerifyKey
from tundish.seal.secret import SecretText
from tundish.seal.statement import MAX_VERSION, first_fault

PAYLOAD_TYPE = "application/vnd.tundish.grant.v1+json"
KIND = "GRANT"
MAX_SPARE_S = 92 * 86_400
MAX_GRACE_S = 31 * 86_400
_INFO = b"tundish.grant/1\n"
_NAME = r"^grant-[0-9a-f-]{1,60}$"


class SpareTerms(SignedRecord):
    """What is allowed to a device that waits for another one to fail.

    Attributes:
        run_s: Seconds after its activation until it is refused.
    """

    run_s: Annotated[int, Field(ge=1, le=MAX_SPARE_S)]


class GrantTerms(SignedRecord):
    """What the owner allows.

    Attributes:
        purpose: What for, in the owner's words.
        not_before: First moment, ISO 8601 in UTC.
        not_after: Moment from which the grant is refused.
        uses: How often it opens the package; ``None``: not limited.
        version: Counter of the grants for one package and device; a device refuses
            a lower one than it has used.
        grace_s: Seconds after ``not_after`` by which a line that runs already has
            stopped. Nothing is opened in them.
        spare: For a device that waits; None: the grant opens without a code.
        answers_per_day: Answers that the model gives this device in a day of its clock,
            over all its grants for the package; ``None``: not limited. Left out of the
            signed words if it is not there, as in grants of earlier versions.
    """

    purpose: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    not_before: Moment
    not_after: Moment
    uses: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)] = 1
    grace_s: Annotated[int, Field(ge=0, le=MAX_GRACE_S)] = 0
    spare: SpareTerms | None = None
    answers_per_day: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None

    @model_serializer(mode="wrap")
    def _words(self, plain: SerializerFunctionWrapHandler) -> dict[str, object]:
        words: dict[str, object] = plain(self)
        if self.answers_per_day is None:
            words.pop("answers_per_day", None)
        return words

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> GrantTerms:
        if clock.from_text(self.not_after) <= clock.from_text(self.not_before):
            msg = "not_after does not lie after not_before"
            raise ValueError(msg)
        return self


class GrantBody(SignedRecord):
    """The words of a grant, without the key: what the key is bound to."""

    format: Literal["tundish.grant"] = "tundish.grant"
    form: Literal[1] = 1
    grant: Annotated[str, StringConstraints(pattern=_NAME)]
    package: CheckedDigest
    device: CheckedDigest
    issuer: CheckedDigest
    terms: GrantTerms


@dataclass(frozen=True, kw_only=True)
class OpenedGrant:
    """What a grant gives after all checks: the package's identity, and the terms.

    ``series`` names package and device: what is counted over all grants of the two.
    """

    identity: Identity
    terms: GrantTerms
    grant: str
    package: Digest
    issuer: Digest
    series: str
    uses_left: int | None
    seconds_left: float
    ends_at: datetime


def make_terms(  # noqa: PLR0913  (keyword-only, one per field)
    *,
    purpose: str,
    not_before: datetime,
    not_after: datetime,
    uses: int | None = None,
    version: int = 1,
    grace_s: int = 0,
    spare_s: int | None = None,
    answers_per_day: int | None = None,
) -> GrantTerms:
    """Build terms from a caller's values.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    try:
        return GrantTerms(
            purpose=purpose,
            not_before=clock.to_text(not_before),
            not_after=clock.to_text(not_after),
            uses=uses,
            version=version,
            grace_s=grace_s,
            spare=None if spare_s is None else SpareTerms(run_s=spare_s),
            answers_per_day=answers_per_day,
        )
    except ValidationError as error:
        raise TermsInvalidError(first_fault("grant", error)) from error


def issue(  # noqa: PLR0913  (keyword-only, one per part)
    *,
    package: Digest,
    identity: Identity,
    device: DevicePublic,
    terms: GrantTerms,
    key: SigningKey,
    now: datetime,
    code: SecretText | None = None,
) -> bytes:
    """Return a grant: a small signed text file that one device can open.

    Args:
        package: Digest of the package's signed statement.
        identity: The age identity that opens the package.
        device: For whom.
        terms: What is allowed.
        key: The owner's signing key.
        now: Used for the grant's name only.
        code: Needed with ``terms.spare``: the grant opens with it only.
    """
    if (terms.spare is None) != (code is None):
        msg = "A spare's grant needs a code, and another grant has none."
        raise TermsInvalidError(msg)
    body = GrantBody(
        grant=ids.new_id("grant", now),
        package=package,
        device=device.device_id,
        issuer=key.public.key_id,
        terms=terms,
    )
    words = body.to_json()
    secret = identity.secret.reveal().encode()
    if code is not None:
        secret = spare.close(secret, code, _info(words))
    sealed = device.encrypt(secret, _info(words))
    payload = canonical.dumps({**words, "key": base64s.encode(sealed)})
    return dsse.sign(PAYLOAD_TYPE, payload, key)


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a grant."""
    return re.fullmatch(_NAME, text) is not None


def to_text(data: bytes) -> bytes:
    """Return a grant as a text that survives mail; ``read`` takes both forms."""
    return armour.wrap(KIND, data)


def read(data: bytes, trusted: Sequence[VerifyKey]) -> GrantBody:
    """Return a grant's words after checking its signature; opens nothing.

    For showing a grant. Raises the same refusals as ``open_grant`` for a changed
    grant or an unknown signer.
    """
    return _read(data, trusted).body


def open_grant(  # noqa: PLR0913  (keyword-only, one per check)
    data: bytes,
    *,
    device: DeviceKey,
    trusted: Sequence[VerifyKey],
    package: Digest,
    now: datetime,
    seen: Freshness,
    code: SecretText | None = None,
) -> OpenedGrant:
    """Open a grant for this device and package, and count one use.

    Everything is checked before the use is counted, and the use is remembered before
    the identity is handed out.

    Args:
        data: Untrusted bytes of the grant.
        device: This device's key.
        trusted: Keys that may issue grants.
        package: Digest of the verified package.
        now: This machine's time.
        seen: What was seen before on this device.
        code: Of a spare's grant.

    Raises:
        GrantTamperedError: if any byte was changed.
        SignerUntrustedError: if its issuer is not trusted here.
        GrantOtherDeviceError, GrantOtherPackageError, GrantNotYetError,
        GrantExpiredError, GrantOlderError, GrantUsedUpError, ClockSetBackError,
        GrantSealedError, SpareCodeError: as their names say.
    """
    found = _read(data, trusted)
    body = found.body
    check_place(body, device.public.device_id, package)
    identity = _unseal(found, device, code)
    seen.see_time(now)
    check_dates(body, now)
    ends_at = _end(body, now, seen)
    series = f"{body.package}/{body.device}"
    left = seen.use_grant(
        body.grant,
        series=series,
        version=body.terms.version,
        uses=body.terms.uses,
    )
    return OpenedGrant(
        identity=identity,
        terms=body.terms,
        grant=body.grant,
        package=body.package,
        issuer=body.issuer,
        series=series,
        uses_left=left,
        seconds_left=(ends_at - now).total_seconds(),
        ends_at=ends_at,
    )


@dataclass(frozen=True, kw_only=True)
class _Grant:
    body: GrantBody
    words: dict[str, Json]
    sealed: bytes


def _read(data: bytes, trusted: Sequence[VerifyKey]) -> _Grant:
    try:
        payload, key = dsse.verify(_plain(data), trusted, payload_type=PAYLOAD_TYPE)
        found = _take_apart(payload)
    except (SignatureMalformedError, SignatureInvalidError) as error:
        other = "" if data.startswith(b"{") else armour.stray(KIND, data)
        msg = other or f"A grant was changed after it was issued: {error.message}"
        raise GrantTamperedError(msg) from error
    if found.body.issuer != key.key_id:
        msg = f"The grant {found.body.grant} is signed by another key than it names."
        raise GrantTamperedError(msg)
    return found


def _plain(data: bytes) -> bytes:
    """Return the signed bytes of a grant, bare (as first written) or as a text."""
    return data if data.startswith(b"{") else armour.unwrap(KIND, data)


def _take_apart(payload: bytes) -> _Grant:
    body, words, key = dsse.read_apart(payload, GrantBody, beside="key", what="grant")
    sealed = base64s.decode(key, what="key of a grant")
    return _Grant(body=body, words=words, sealed=sealed)


def _unseal(found: _Grant, device: DeviceKey, code: SecretText | None) -> Identity:
    info = _info(found.words)
    try:
        secret = device.decrypt(found.sealed, info)
        if found.body.terms.spare is not None:
            if code is None:
                msg = f"The grant {found.body.grant} is for a spare, not activated yet."
                raise GrantSealedError(msg)
            secret = spare.open_closed(secret, code, info)
        return envelope.identity_from_secret(SecretText(secret.decode("ascii")))
    except (EnvelopeClosedError, RecipientInvalidError, UnicodeDecodeError) as error:
        msg = f"The key in the grant {found.body.grant} does not fit its terms."
        raise GrantTamperedError(msg) from error


def check_place(body: GrantBody, device: Digest, package: Digest) -> None:
    """Refuse a grant for another device or package; see ``open_grant``."""
    if body.device != device:
        msg = (
            f"The grant {body.grant} is for the device {short(body.device)}; this is "
            f"{short(device)}."
        )
        raise GrantOtherDeviceError(msg)
    if body.package != package:
        msg = (
            f"The grant {body.grant} is for the package {short(body.package)}; this is "
            f"{short(package)}."
        )
        raise GrantOtherPackageError(msg)


def check_dates(body: GrantBody, now: datetime) -> None:
    """Refuse a grant outside its dates; see ``open_grant``."""
    if now < clock.from_text(body.terms.not_before):
        msg = f"The grant {body.grant} is valid from {body.terms.not_before} on."
        raise GrantNotYetError(msg)
    if now >= clock.from_text(body.terms.not_after):
        msg = f"The grant {body.grant} expired at {body.terms.not_after}."
        raise GrantExpiredError(msg)


def _end(body: GrantBody, now: datetime, seen: Freshness) -> datetime:
    """Return when it is refused here; a spare's time runs from its first opening."""
    not_after = clock.from_text(body.terms.not_after)
    if body.terms.spare is None:
        return not_after
    began = seen.begin_grant(body.grant, now)
    ends_at = min(not_after, began + timedelta(seconds=body.terms.spare.run_s))
    if now >= ends_at:
        msg = (
            f"The spare's grant {body.grant} was activated at {clock.to_text(began)} "
            f"and ended at {clock.to_text(ends_at)}."
        )
        raise GrantExpiredError(msg)
    return ends_at


def _info(words: dict[str, Json]) -> bytes:
    return _INFO + canonical.dumps(words)

"""Requests: a device asks the owner of a package for a grant, in a small text file.

The device's own key (X25519) cannot sign, so the key that signs for its workspace
does, and its public half travels inside. That shows that nobody changed the file on
its way, and that a later request comes from the same box; who the box is, the owner
learns only by comparing the device's line with its people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from tundish.kernel import canonical, clock, ids
from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, base64s, dsse
from tundish.seal.errors import (
    DeviceTextError,
    KeyUnreadableError,
    RequestDamagedError,
    SignatureInvalidError,
    SignatureMalformedError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import DevicePublic, SigningKey, VerifyKey
from tundish.seal.statement import MAX_VERSION, first_fault

PAYLOAD_TYPE = "application/vnd.tundish.grant-request.v1+json"
KIND = "REQUEST"
MAX_DAYS = 366
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
_LONGEST_LINE = 2_000


class Wish(SignedRecord):
    """What is asked for; the owner decides.

    Attributes:
        product: Whose package, by its product's name.
        package: Its digest, if the device has it already.
        purpose: What for, in the asker's words.
        days: For how long; None: as the owner likes.
        uses: How often; None: not limited.
    """

    product: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    ]
    package: CheckedDigest | None = None
    purpose: Annotated[
        str, StringConstraints(min_length=1, max_length=500, pattern=_PLAIN)
    ]
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = None
    uses: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None


class RequestBody(SignedRecord):
    """The words of a request."""

    format: Literal["tundish.grant-request"] = "tundish.grant-request"
    form: Literal[1] = 1
    request: Annotated[str, StringConstraints(pattern=r"^request-[0-9a-f-]{1,60}$")]
    device: Annotated[str, StringConstraints(max_length=200)]
    wish: Wish
    made_at: Moment
    key: Annotated[str, StringConstraints(max_length=_LONGEST_LINE)]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that is whole: its signature fits the key that it carries."""

    name: str
    device: DevicePublic
    wish: Wish
    made_at: str
    signer: VerifyKey


def make_wish(
    *,
    product: str,
    purpose: str,
    package: Digest | None = None,
    days: int | None = None,
    uses: int | None = None,
) -> Wish:
    """Build a wish from a caller's values.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    try:
        return Wish(
            product=product, package=package, purpose=purpose, days=days, uses=uses
        )
    except ValidationError as error:
        raise TermsInvalidError(first_fault("request", error)) from error


def make(wish: Wish, *, device: DevicePublic, key: SigningKey, now: datetime) -> bytes:
    """Return a request file: a small text for mail or a stick."""
    body = RequestBody(
        request=ids.new_id("request", now),
        device=device.to_text(),
        wish=wish,
        made_at=clock.to_text(now),
        key=key.public.to_pem().decode(),
    )
    return armour.wrap(
        KIND, dsse.sign(PAYLOAD_TYPE, canonical.dumps(body.to_json()), key)
    )


def read(text: bytes) -> Request:
    """Return a request after checking that it is whole.

    Args:
        text: Untrusted bytes of a file.

    Raises:
        RequestDamagedError: if it is no request, or any letter of it was changed.
    """
    try:
        body, key = _read(text)
        return Request(
            name=body.request,
            device=DevicePublic.from_text(body.device),
            wish=body.wish,
            made_at=body.made_at,
            signer=key,
        )
    except (
        SignatureMalformedError,
        SignatureInvalidError,
        SignerUntrustedError,
        KeyUnreadableError,
        DeviceTextError,
    ) as error:
        msg = f"A request is not as its device wrote it: {error.message}"
        raise RequestDamagedError(msg) from error


def _read(text: bytes) -> tuple[RequestBody, VerifyKey]:
    data = armour.unwrap(KIND, text)
    key = VerifyKey.from_pem(
        dsse.read_record(_claimed(data), RequestBody, what="request").key.encode()
    )
    payload, signer = dsse.verify(data, [key], payload_type=PAYLOAD_TYPE)
    return dsse.read_record(payload, RequestBody, what="request"), signer


def _claimed(data: bytes) -> bytes:
    envelope = dsse.read_canonical(data, what="request")
    claimed = envelope.get("payload") if isinstance(envelope, dict) else None
    return base64s.decode(claimed, what="payload of a request")

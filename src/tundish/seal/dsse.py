"""DSSE envelopes in one form only: canonical JSON, one signature, one encoding.

Source: the DSSE protocol (secure-systems-lab/dsse, v1.0): what is signed is the
pre-authentication encoding of payload type and payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tundish.kernel import canonical
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError
from tundish.seal import base64s
from tundish.seal.errors import SignatureMalformedError, SignerUntrustedError
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.statement import first_fault

MAX_BYTES = 16 * 1024 * 1024
Form = TypeVar("Form", bound=BaseModel)


def encode_for_signing(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding (PAE): the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """Return a signed envelope as canonical JSON."""
    signature = key.sign(encode_for_signing(payload_type, payload))
    return canonical.dumps(
        {
            "payload": base64s.encode(payload),
            "payloadType": payload_type,
            "signatures": [
                {"keyid": key.public.key_id, "sig": base64s.encode(signature)}
            ],
        }
    )


def verify(
    data: bytes, trusted: Sequence[VerifyKey], *, payload_type: str
) -> tuple[bytes, VerifyKey]:
    """Return the payload of an envelope and the trusted key that signed it.

    Args:
        data: Untrusted bytes.
        trusted: Keys that may sign.
        payload_type: The only payload type that is accepted.

    Raises:
        SignatureMalformedError: if the envelope is not in its only form.
        SignerUntrustedError: if no trusted key has the signer's id.
        SignatureInvalidError: if the signature does not fit.
    """
    envelope = read_canonical(data, what="signed envelope")
    fields = exact_object(
        envelope, ("payload", "payloadType", "signatures"), "envelope"
    )
    payload = base64s.decode(fields["payload"], what="payload of an envelope")
    if fields["payloadType"] != payload_type:
        msg = f"A signed envelope is not of the type {payload_type}."
        raise SignatureMalformedError(msg)
    line = exact_object(only_item(fields["signatures"]), ("keyid", "sig"), "signature")
    key = next((key for key in trusted if key.key_id == line["keyid"]), None)
    if key is None:
        msg = (
            f"A document is signed by the key {line['keyid']!s:.24}, not trusted here."
        )
        raise SignerUntrustedError(msg)
    signature = base64s.decode(line["sig"], what="signature of an envelope")
    key.verify(encode_for_signing(payload_type, payload), signature)
    return payload, key


def read_canonical(data: bytes, *, what: str) -> canonical.Json:
    """Parse untrusted bytes that must be canonical JSON to the byte.

    Raises:
        SignatureMalformedError: if they are not.
    """
    try:
        return canonical.loads_canonical(data, max_bytes=MAX_BYTES)
    except (DocumentMalformedError, NotCanonicalError) as error:
        msg = f"A {what} is not canonical JSON: {error.message}"
        raise SignatureMalformedError(msg) from error


def read_record(payload: bytes, kind: type[Form], *, what: str) -> Form:
    """Return the record that a signed payload holds and nothing else.

    Raises:
        SignatureMalformedError: if it is not canonical, or has not that form.
    """
    read_canonical(payload, what=what)
    return validated(payload, kind, what=what)


def read_apart(
    payload: bytes, kind: type[Form], *, beside: str, what: str
) -> tuple[Form, dict[str, canonical.Json], canonical.Json]:
    """Return a record, its words, and the one field beside them that is bound to them.

    Raises:
        SignatureMalformedError: if it is not canonical, or has not that form.
    """
    value = read_canonical(payload, what=what)
    if not isinstance(value, dict):
        msg = f"A {what} is no JSON object."
        raise SignatureMalformedError(msg)
    words = {name: item for name, item in value.items() if name != beside}
    found = validated(canonical.dumps(words), kind, what=what)
    return found, words, value.get(beside)


def validated(data: bytes, kind: type[Form], *, what: str) -> Form:
    """Return the record of canonical bytes.

    Raises:
        SignatureMalformedError: naming the first field that has another form.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise SignatureMalformedError(first_fault(what, error)) from error


def exact_object(
    value: canonical.Json, keys: Sequence[str], what: str
) -> dict[str, canonical.Json]:
    """Return an object that has exactly these keys.

    Raises:
        SignatureMalformedError: if it is no object, or lacks or adds a key.
    """
    if not isinstance(value, dict) or set(value) != set(keys):
        msg = (
            f"A signed document's {what} has not exactly the fields {', '.join(keys)}."
        )
        raise SignatureMalformedError(msg)
    return value


def only_item(value: canonical.Json) -> canonical.Json:
    """Return the one item of a list of one.

    Raises:
        SignatureMalformedError: if there are none or several.
    """
    if not isinstance(value, list) or len(value) != 1:
        msg = "A signed document has not exactly one signature or subject."
        raise SignatureMalformedError(msg)
    return value[0]

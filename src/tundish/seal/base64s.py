"""Base64 in one form only: what decodes must encode to the same text again.

Python accepts base64 texts whose last character carries bits that are thrown
away, so that several texts give the same bytes; a signed document must not.
"""

from __future__ import annotations

import base64
import binascii

from tundish.seal.errors import SignatureMalformedError


def encode(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()


def decode(text: object, *, what: str) -> bytes:
    """Return the bytes of a base64 text in its only form.

    Args:
        text: Untrusted; anything.
        what: Names the field in the refusal.

    Raises:
        SignatureMalformedError: if it is no text, or not the form ``encode`` gives.
    """
    try:
        data = base64.b64decode(text if isinstance(text, str) else "*", validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"The {what} is no base64 text."
        raise SignatureMalformedError(msg) from error
    if encode(data) != text:
        msg = f"The {what} is base64, but not in its only form."
        raise SignatureMalformedError(msg)
    return data

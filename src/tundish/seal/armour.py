"""Signed bytes as a small text that survives mail, and back.

What mail does to a text is undone: CR LF, blanks at the end of lines, a byte order
mark, empty lines around it. Anything else is refused: lines of another length, text
before or after, quoting. So one content has one text but for these, and no changed
byte passes: what is inside is canonical and signed.

The form is that of PEM (RFC 7468): BEGIN line, base64 in lines of 64, END line.
"""

from __future__ import annotations

import re

from tundish.seal import base64s
from tundish.seal.errors import SignatureMalformedError

WIDTH = 64
MAX_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_LABEL = re.compile(rb"-----BEGIN (?:TUNDISH )?([A-Z][A-Z ]{0,30}[A-Z])-----")


def wrap(kind: str, data: bytes) -> bytes:
    """Return the text form of signed bytes; ``kind`` such as ``GRANT``."""
    code = base64s.encode(data)
    lines = [code[at : at + WIDTH] for at in range(0, len(code), WIDTH)]
    return ("\n".join([_begin(kind), *lines, _end(kind)]) + "\n").encode()


def unwrap(kind: str, text: bytes) -> bytes:
    """Return the signed bytes of a text; nothing is verified yet.

    Args:
        kind: What is expected.
        text: Untrusted bytes of a file.

    Raises:
        SignatureMalformedError: if it is no such text, or more than mail's known
            changes were made to it.
    """
    if len(text) > MAX_BYTES:
        msg = f"A {kind.lower()} file has {len(text)} bytes; at most {MAX_BYTES}."
        raise SignatureMalformedError(msg)
    lines = _lines(kind, text)
    body = lines[1:-1]
    whole = all(len(line) == WIDTH for line in body[:-1])
    if not body or not whole or not 0 < len(body[-1]) <= WIDTH:
        msg = f"The lines of a {kind.lower()} file were broken or joined on their way."
        raise SignatureMalformedError(msg)
    return base64s.decode("".join(body), what=f"text of a {kind.lower()} file")


def stray(kind: str, text: bytes) -> str:
    """Say that a file is another one than was meant; empty if it may be of this kind.

    Whoever named the wrong file shall not read that somebody has changed the right one.
    Nothing of the file is repeated but what it calls itself.
    """
    if _begin(kind).encode() in text:
        return ""
    named = _LABEL.search(text[:MAX_BYTES])
    but = f" (it holds a {named[1].decode().lower()})" if named else ""
    return (
        f"The file holds no {kind.lower()}{but}: no line of it reads {_begin(kind)!r}."
    )


def _lines(kind: str, text: bytes) -> list[str]:
    try:
        plain = text.removeprefix(_BOM).decode("ascii")
    except UnicodeDecodeError as error:
        msg = f"A {kind.lower()} file holds letters that none has."
        raise SignatureMalformedError(msg) from error
    lines = [line.rstrip(" \t") for line in plain.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    if len(lines) < 2 or lines[0] != _begin(kind) or lines[-1] != _end(kind):
        msg = (
            f"A {kind.lower()} file does not go from its BEGIN line to its END line: "
            "something is missing, or stands around it."
        )
        raise SignatureMalformedError(msg)
    return lines


def _begin(kind: str) -> str:
    return f"-----BEGIN TUNDISH {kind}-----"


def _end(kind: str) -> str:
    return f"-----END TUNDISH {kind}-----"

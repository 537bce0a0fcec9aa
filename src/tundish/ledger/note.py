"""Signed notes and checkpoints as C2SP lays them down; text only, no keys.

A checkpoint is three lines (origin, size, base64 of the root) in a signed note:
the text, an empty line, then one line ``— name base64(key id || signature)`` per
signature. Reading accepts only the bytes that writing would give.
Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from tundish.ledger.errors import NoteMalformedError
from tundish.ledger.merkle import HASH_SIZE

KEY_ID_SIZE = 4
MAX_CHARACTERS = 65_536
MAX_SIGNATURES = 16
_DASH = "\u2014 "


@dataclass(frozen=True, kw_only=True)
class NoteSigner:
    """A key that signs notes: its name, its C2SP key id, its function."""

    name: str
    key_id: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class NoteVerifier:
    """A key that checks notes; ``verify(text, signature)`` raises if wrong."""

    name: str
    key_id: bytes
    verify: Callable[[bytes, bytes], None]


@dataclass(frozen=True, kw_only=True)
class NoteSignature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class SignedNote:
    """A text and the signatures under it; nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a log said of itself: who it is, how many entries, which root."""

    origin: str
    size: int
    root: bytes


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Write the three lines that are signed."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """Read the three lines; extension lines and other number forms are refused.

    Raises:
        NoteMalformedError: if writing the result would give another text.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        msg = "A checkpoint has not exactly three lines."
        raise NoteMalformedError(msg)
    if not (lines[1].isascii() and lines[1].isdigit() and len(lines[1]) <= 15):
        msg = f"A checkpoint's size is written {lines[1][:20]!r}, not as a number."
        raise NoteMalformedError(msg)
    found = Checkpoint(origin=lines[0], size=int(lines[1]), root=_unbase64(lines[2]))
    if len(found.root) != HASH_SIZE or checkpoint_text(found) != text:
        msg = "A checkpoint is not in canonical form."
        raise NoteMalformedError(msg)
    return found


def sign_note(text: str, signer: NoteSigner) -> str:
    """Put one signature under a text that ends in a newline."""
    _check_text(text)
    _check_name(signer.name)
    signature = NoteSignature(
        name=signer.name, key_id=signer.key_id, signature=signer.sign(text.encode())
    )
    return write_note(SignedNote(text=text, signatures=(signature,)))


def write_note(note: SignedNote) -> str:
    """Write a note with its signature lines."""
    lines = [
        f"{_DASH}{item.name} {base64.b64encode(item.key_id + item.signature).decode()}\n"
        for item in note.signatures
    ]
    return f"{note.text}\n{''.join(lines)}"


def read_note(note: str) -> SignedNote:
    """Take a note apart; no signature is verified here.

    Raises:
        NoteMalformedError: if writing the result would give another note.
    """
    if len(note) > MAX_CHARACTERS:
        msg = f"A signed note has {len(note)} characters; at most {MAX_CHARACTERS}."
        raise NoteMalformedError(msg)
    text, empty_line, tail = note.rpartition("\n\n")
    text += "\n"
    _check_text(text)
    lines = tail.split("\n")
    if not empty_line or lines.pop() or not 1 <= len(lines) <= MAX_SIGNATURES:
        msg = "A signed note has no signature lines, or too many."
        raise NoteMalformedError(msg)
    found = SignedNote(text=text, signatures=tuple(map(_read_line, lines)))
    if write_note(found) != note:
        msg = "A signed note is not in canonical form."
        raise NoteMalformedError(msg)
    return found


def verify_note(note: str, trusted: tuple[NoteVerifier, ...]) -> SignedNote:
    """Return a note that a trusted key has signed.

    A line of a trusted key that does not verify refuses the note, whatever
    other lines say; lines of unknown keys are passed over.

    Raises:
        NoteMalformedError: if it is no note, or no trusted key has signed it.
        Exception: whatever ``NoteVerifier.verify`` raises for a wrong signature.
    """
    found = read_note(note)
    keys = {(key.name, key.key_id): key for key in trusted}
    known = [line for line in found.signatures if (line.name, line.key_id) in keys]
    if not known:
        names = ", ".join(line.name for line in found.signatures)
        msg = f"A signed note is signed by {names[:120]}, and none of them is trusted."
        raise NoteMalformedError(msg)
    for line in known:
        keys[line.name, line.key_id].verify(found.text.encode(), line.signature)
    return found


def _read_line(line: str) -> NoteSignature:
    name, _, code = line.removeprefix(_DASH).partition(" ")
    _check_name(name)
    data = _unbase64(code)
    if not line.startswith(_DASH) or len(data) <= KEY_ID_SIZE:
        msg = f"The signature line {line[:60]!r} of a note cannot be read."
        raise NoteMalformedError(msg)
    return NoteSignature(
        name=name, key_id=data[:KEY_ID_SIZE], signature=data[KEY_ID_SIZE:]
    )


def _check_name(name: str) -> None:
    if not name or "+" in name or not name.isprintable() or " " in name:
        msg = f"The key name {name[:60]!r} of a note is empty or has a space or plus."
        raise NoteMalformedError(msg)


def _check_text(text: str) -> None:
    body = text.removesuffix("\n")
    if body == text or not body or "\n\n" in text:
        msg = (
            "The text of a signed note is empty, has an empty line or no last newline."
        )
        raise NoteMalformedError(msg)
    if any(ord(letter) < 32 and letter != "\n" for letter in body):
        msg = "The text of a signed note holds a control character."
        raise NoteMalformedError(msg)


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"The base64 text {text[:20]!r} of a note cannot be read."
        raise NoteMalformedError(msg) from error
    if base64.b64encode(data).decode() != text:
        msg = f"The base64 text {text[:20]!r} of a note is not in canonical form."
        raise NoteMalformedError(msg)
    return data

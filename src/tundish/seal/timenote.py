"""Signed times: the owner's word for how late it is, for boxes without a network.

A note says "it is at least this late". A box that has seen it refuses a clock that
shows an earlier time. Only a correction, made for one device and counting once, sets
the highest time seen back, and for the grants of its signer only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from tundish.kernel import canonical, clock, ids
from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.seal import armour, dsse, signedtext
from tundish.seal.errors import (
    TimeNoteInvalidError,
)
from tundish.seal.fields import Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import TextForm

PAYLOAD_TYPE = "application/vnd.tundish.time.v1+json"
KIND = "TIME"


class TimeNote(SignedRecord):
    """What is signed.

    Attributes:
        name: Names the note; a correction counts once by it.
        time: When it was signed, by the owner's clock.
        checkpoint: The newest signed checkpoint of the owner's ledger: whoever keeps
            it is a witness of that ledger too.
        corrects: The device whose highest time seen is set to ``time``.
    """

    format: Literal["tundish.time"] = "tundish.time"
    form: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^time-[0-9a-f-]{1,60}$")]
    time: Moment
    checkpoint: Annotated[str, StringConstraints(max_length=4096)] = ""
    corrects: Digest | None = None

    def moment(self) -> datetime:
        """Return the time that was signed."""
        return clock.from_text(self.time)


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=TimeNote,
    what="A signed time",
    error=TimeNoteInvalidError,
)


def sign(
    now: datetime,
    key: SigningKey,
    *,
    checkpoint: str = "",
    corrects: Digest | None = None,
) -> bytes:
    """Return a signed time as a small text."""
    note = TimeNote(
        name=ids.new_id("time", now),
        time=clock.to_text(now),
        checkpoint=checkpoint,
        corrects=corrects,
    )
    payload = canonical.dumps(note.to_json())
    return armour.wrap(KIND, dsse.sign(PAYLOAD_TYPE, payload, key))


def read(
    text: bytes, trusted: Sequence[VerifyKey], device: Digest
) -> tuple[TimeNote, VerifyKey]:
    """Return a signed time and its signer after checking it.

    Args:
        text: Untrusted bytes of a file.
        trusted: Whose word counts.
        device: This device.

    Raises:
        TimeNoteInvalidError: if it was changed, or corrects another device.
        SignerUntrustedError: if its signer is not trusted here.
    """
    note, _, signer = signedtext.read(text, trusted, FORM)
    if note.corrects not in {None, device}:
        msg = f"The signed time {note.name} corrects another device than this one."
        raise TimeNoteInvalidError(msg)
    return note, signer

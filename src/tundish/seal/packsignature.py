"""The signature of a scenario pack: which files belong to it, and whose they are.

A pack is a folder of documents that somebody else wrote. The signature names every file
with its digest, so that none can be changed, left out or added. It is a small text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from tundish.kernel import clock, digest
from tundish.kernel.texts import visible
from tundish.seal import signedtext
from tundish.seal.errors import PackChangedError
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import Issued, IssuedBody, TextForm

PAYLOAD_TYPE = "application/vnd.tundish.pack.v1+json"
KIND = "PACK"
MOST_FILES = 2000
MAX_VERSION = 2**31 - 1

PackName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]
PackVersion = Annotated[int, Field(ge=1, le=MAX_VERSION)]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=240)]


class PackBody(IssuedBody):
    """What is signed.

    Attributes:
        name: Of the pack.
        release: Counter from 1; a workspace refuses a lower one than it has seen.
        files: Name inside the folder, with ``/`` -> digest.
        not_after: When the pack is refused.
    """

    format: Literal["tundish.pack"] = "tundish.pack"
    form: Literal[1] = 1
    name: PackName
    release: PackVersion
    files: Annotated[
        dict[FileName, CheckedDigest], Field(min_length=1, max_length=MOST_FILES)
    ]
    not_after: Moment


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=PackBody,
    what="The signature of a scenario pack",
    error=PackChangedError,
)

PackSignature: TypeAlias = Issued[PackBody]
"""A verified signature and the digest of its signed words, which names the pack."""


def sign(
    name: str,
    release: int,
    files: Mapping[str, bytes],
    *,
    now: datetime,
    not_after: datetime,
    key: SigningKey,
) -> bytes:
    """Return the signature of a pack as a small text.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    fields = {
        "name": name,
        "release": release,
        "files": {file: digest.of_bytes(data) for file, data in sorted(files.items())},
        "not_after": clock.to_text(not_after),
    }
    return signedtext.issue(FORM, fields, now=now, key=key)


def read(
    text: bytes,
    files: Mapping[str, bytes],
    known: Sequence[VerifyKey],
    *,
    now: datetime,
) -> PackSignature:
    """Return the signature of a pack after it and every file were checked.

    Args:
        text: Untrusted bytes of the signature.
        files: Untrusted: all other files of the folder.
        known: Keys that are trusted here.
        now: The present.

    Raises:
        PackChangedError: if any of them was changed, a file is missing or one too many,
            or the pack has run out.
        SignerUntrustedError: if its signer is not trusted here.
    """
    found = signedtext.read_issued(text, known, FORM)
    said = found.body.files
    for name in sorted(said.keys() | files.keys()):
        why = _why_other(name, said, files)
        if why:
            msg = f"The file {visible(name)[:100]} of the pack {found.body.name} {why}."
            raise PackChangedError(msg)
    if clock.from_text(found.body.not_after) <= now:
        msg = f"The pack {found.body.name} ended at {found.body.not_after}."
        raise PackChangedError(msg)
    return found


def _why_other(name: str, said: Mapping[str, str], files: Mapping[str, bytes]) -> str:
    if name not in files:
        return "is missing"
    if name not in said:
        return "is not among those that were signed"
    return "" if digest.of_bytes(files[name]) == said[name] else "was changed"

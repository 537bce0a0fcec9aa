"""Plant evidence: a plant's signed word of what a scenario does on its own line.

It carries numbers and digests only, no data of the plant, and the name that the plant
chose for itself, so that it can be handed on. It is a small text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from tundish.kernel import clock
from tundish.kernel.records import Record
from tundish.seal import signedtext
from tundish.seal.errors import EvidenceInvalidError
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import Issued, IssuedBody, TextForm

PAYLOAD_TYPE = "application/vnd.tundish.evidence.v1+json"
KIND = "EVIDENCE"

Count = Annotated[int, Field(ge=0, le=2**53)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Seen(Record):
    """What was seen; of a line only what its own records hold.

    Attributes:
        plant: The name that the plant chose for itself; need not be its real one.
        scenario: Key of the scenario.
        contract: Digest of the scenario without its generator.
        package, data: Digests of what answers, and of what it was learnt from.
        judged: Number of samples that the judge accepted it on.
        first, last: Source times of the first and the last answer that are kept.
        answers, withheld: Answers in that time; those that were no number.
        right, wrong, unclear: Alarms that people answered so.
    """

    plant: Word
    scenario: Word
    contract: CheckedDigest
    package: CheckedDigest
    data: CheckedDigest
    judged: Count
    first: Moment
    last: Moment
    answers: Count
    withheld: Count
    right: Count
    wrong: Count
    unclear: Count


class EvidenceBody(IssuedBody):
    """What is signed.

    Attributes:
        seen: What was seen.
        not_after: When it ends.
    """

    format: Literal["tundish.plant-evidence"] = "tundish.plant-evidence"
    form: Literal[1] = 1
    seen: Seen
    not_after: Moment


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=EvidenceBody,
    what="A plant's evidence",
    error=EvidenceInvalidError,
)


PlantEvidence: TypeAlias = Issued[EvidenceBody]
"""Verified evidence and the digest of its signed words."""


def sign(seen: Seen, *, now: datetime, not_after: datetime, key: SigningKey) -> bytes:
    """Return evidence as a small text.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    fields = {"seen": seen.to_json(), "not_after": clock.to_text(not_after)}
    return signedtext.issue(FORM, fields, now=now, key=key)


def read(text: bytes, known: Sequence[VerifyKey], *, now: datetime) -> PlantEvidence:
    """Return what evidence says, after its signature was checked.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.
        now: The present.

    Raises:
        EvidenceInvalidError: if it was changed, or has run out.
        SignerUntrustedError: if its issuer is not trusted here.
    """
    found = signedtext.read_issued(text, known, FORM)
    if clock.from_text(found.body.not_after) <= now:
        msg = (
            f"The evidence of {found.body.seen.plant} ended at {found.body.not_after}."
        )
        raise EvidenceInvalidError(msg)
    return found

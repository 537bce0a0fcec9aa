"""Change records: a person's signed word that one package may take another's place on a line.

A record names the line, both packages, the window in which the switch may happen, and the
comparison that was seen before it was signed. It is a small text that travels by mail or stick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tundish.kernel import clock
from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.seal import signedtext
from tundish.seal.errors import (
    ChangeInvalidError,
    ChangeNotNowError,
)
from tundish.seal.fields import CheckedDigest, Moment
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signedtext import IssuedBody, TextForm

PAYLOAD_TYPE = "application/vnd.tundish.change.v1+json"
KIND = "CHANGE"
MAX_WINDOWS = 2**53 - 1

Windows = Annotated[int, Field(ge=0, le=MAX_WINDOWS)]


class SeenComparison(SignedRecord):
    """What both packages did with the same windows, as the signer saw it.

    Attributes:
        windows: Windows that both were asked about.
        agreed, disagreed: Of these, where both gave an answer.
        abstained_old, abstained_new: Windows without an answer of each.
        alarms_old, alarms_new: Windows with an alarm of each.
    """

    windows: Windows
    agreed: Windows
    disagreed: Windows
    abstained_old: Windows
    abstained_new: Windows
    alarms_old: Windows
    alarms_new: Windows


class ChangeBody(IssuedBody):
    """What is signed.

    Attributes:
        line: Name of the line.
        old: Digest of the package that answers until the switch.
        new: Digest of the package that answers from the switch on.
        not_before, not_after: The window in which the switch may happen.
        seen: The comparison that the signer saw.
        note: Why, in the words of who signs.
    """

    format: Literal["tundish.change"] = "tundish.change"
    form: Literal[1] = 1
    line: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    old: CheckedDigest
    new: CheckedDigest
    not_before: Moment
    not_after: Moment
    seen: SeenComparison
    note: Annotated[str, StringConstraints(max_length=300)] = ""

    @model_validator(mode="after")
    def _one_way(self) -> ChangeBody:
        if self.old == self.new:
            msg = "old and new are the same package"
            raise ValueError(msg)
        if clock.from_text(self.not_before) >= clock.from_text(self.not_after):
            msg = (
                f"not_before {self.not_before} is not before not_after {self.not_after}"
            )
            raise ValueError(msg)
        return self


FORM = TextForm(
    kind=KIND,
    payload_type=PAYLOAD_TYPE,
    body=ChangeBody,
    what="A change record",
    error=ChangeInvalidError,
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The switch that a record is for; attributes as in ``ChangeBody``."""

    line: str
    old: Digest
    new: Digest


@dataclass(frozen=True, kw_only=True)
class Change:
    """A verified change record and the digest of its signed words."""

    body: ChangeBody
    digest: Digest

    def check_for(self, wanted: Wanted) -> None:
        """Make sure that a record is for a switch.

        Raises:
            ChangeInvalidError: if it is for another one.
        """
        body = self.body
        for what, said, expected in (
            ("line", body.line, wanted.line),
            ("old package", body.old, wanted.old),
            ("new package", body.new, wanted.new),
        ):
            if said != expected:
                msg = f"A change record is for the {what} {said}, expected {expected}."
                raise ChangeInvalidError(msg)

    def check(self, wanted: Wanted, now: datetime) -> None:
        """Make sure that a switch is allowed at a moment.

        Args:
            wanted: The switch.
            now: In UTC, of a clock that was not set back.

        Raises:
            ChangeInvalidError: if the record is for another switch.
            ChangeNotNowError: outside its window; its first moment belongs to it.
        """
        self.check_for(wanted)
        body = self.body
        begin, end = clock.from_text(body.not_before), clock.from_text(body.not_after)
        if not begin <= now < end:
            msg = (
                f"A change record holds from {body.not_before} to {body.not_after}, "
                f"and it is {clock.to_text(now)}."
            )
            raise ChangeNotNowError(msg)


def sign(
    wanted: Wanted,
    seen: SeenComparison,
    *,
    now: datetime,
    window: tuple[datetime, datetime],
    note: str,
    key: SigningKey,
) -> bytes:
    """Return a change record as a small text.

    Args:
        wanted: The switch that is allowed.
        seen: The comparison that the signer saw.
        now: When it is signed.
        window: First moment of the switch, and the moment from which on it is refused.
        note: Why.
        key: Of who signs.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    fields = {
        "line": wanted.line,
        "old": wanted.old,
        "new": wanted.new,
        "not_before": clock.to_text(window[0]),
        "not_after": clock.to_text(window[1]),
        "seen": seen,
        "note": note,
    }
    return signedtext.issue(FORM, fields, now=now, key=key)


def read(text: bytes, known: Sequence[VerifyKey]) -> Change:
    """Return what a change record says, after its signature was checked.

    Args:
        text: Untrusted bytes of a file.
        known: Keys that are trusted here.

    Raises:
        ChangeInvalidError: if it was changed.
        SignerUntrustedError: if its issuer is not trusted here.
    """
    found = signedtext.read_issued(text, known, FORM)
    return Change(body=found.body, digest=found.digest)

"""One entry of the ledger: who did what to which digests, and how it ended."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import (
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
)

from tundish.kernel import canonical, clock
from tundish.kernel.digest import Digest, is_digest
from tundish.kernel.errors import NotCanonicalError
from tundish.kernel.records import SignedRecord
from tundish.ledger.errors import EntryInvalidError, LedgerTamperedError

MAX_BYTES = 64 * 1024
MAX_DIGESTS = 1024

Act: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)
]
"""Kebab-case name of an act, such as ``data-fetched``, ``graded``, ``trained``,
``judged``, ``package-sealed``, ``grant-issued``, ``package-opened``, ``refused``,
``line-started``, ``line-state``, ``line-gap``, ``line-stopped``, ``report-written``."""

Outcome: TypeAlias = Literal["done", "refused"]


class Entry(SignedRecord):
    """What stands in the ledger for good.

    Attributes:
        at: When, ISO 8601 in UTC, by the clock of the machine that wrote it.
        act: What was done.
        actor: Who did it: a key id, a device id or a pseudonym; not a person's
            name unless that person agreed to stay in the log for good.
        inputs: Digests that went in.
        outputs: Digests that came out: lineage goes from inputs to outputs.
        names: What people call the digests.
        outcome: ``done`` or ``refused``.
        code: The error code of a refusal.
        detail: Names, numbers and digests only; never data values or keys.
    """

    format: Literal["tundish.ledger.entry"] = "tundish.ledger.entry"
    version: Literal[1] = 1
    at: str
    act: Act
    actor: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    inputs: tuple[Digest, ...] = ()
    outputs: tuple[Digest, ...] = ()
    names: dict[str, str] = Field(default_factory=dict)
    outcome: Outcome = "done"
    code: Annotated[str, StringConstraints(max_length=60)] = ""
    detail: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("at")
    @classmethod
    def _moment(cls, value: str) -> str:
        clock.from_text(value)
        return value

    @field_validator("inputs", "outputs")
    @classmethod
    def _digests(cls, value: tuple[Digest, ...]) -> tuple[Digest, ...]:
        if len(value) > MAX_DIGESTS:
            msg = f"{len(value)} digests, at most {MAX_DIGESTS}"
            raise ValueError(msg)
        for item in value:
            if not is_digest(item):
                msg = f"{item[:80]!r} is not a digest"
                raise ValueError(msg)
        return value


def encode(entry: Entry) -> bytes:
    """Return the canonical bytes that are hashed and stored.

    Raises:
        EntryInvalidError: if they are more than an entry may have.
    """
    data = canonical.dumps(entry.to_json())
    if len(data) > MAX_BYTES:
        msg = (
            f"A ledger entry '{entry.act}' has {len(data)} bytes; at most {MAX_BYTES}."
        )
        raise EntryInvalidError(msg)
    return data


def make(fields: dict[str, object]) -> Entry:
    """Build an entry from a caller's fields.

    Raises:
        EntryInvalidError: naming the field that has the wrong form.
    """
    try:
        return Entry.model_validate(fields)
    except ValidationError as error:
        raise EntryInvalidError(_sentence(fields.get("act"), error)) from error


def decode(data: bytes, index: int) -> Entry:
    """Read one stored entry; its bytes must be canonical.

    Raises:
        LedgerTamperedError: if the bytes are not what Tundish writes.
    """
    if len(data) > MAX_BYTES:
        msg = f"Entry {index} of the ledger has {len(data)} bytes; at most {MAX_BYTES}."
        raise LedgerTamperedError(msg)
    try:
        entry = Entry.model_validate_json(data)
        # fields that are not in the bytes stay out: a later Tundish has more of them
        again = canonical.dumps(entry.model_dump(mode="json", exclude_unset=True))
    except ValidationError as error:
        raise LedgerTamperedError(_sentence(f"{index}", error)) from error
    except NotCanonicalError as error:
        msg = f"Entry {index} of the ledger is not canonical JSON: {error.message}"
        raise LedgerTamperedError(msg) from error
    if again != data:
        msg = f"Entry {index} of the ledger is not canonical JSON."
        raise LedgerTamperedError(msg)
    return entry


def _sentence(name: object, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "entry"
    return (
        f"The field {place} of the ledger entry {name!s:.60} is wrong: {first['msg']}."
    )

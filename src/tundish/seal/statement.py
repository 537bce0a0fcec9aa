"""What a package says of itself under its signature, beyond its files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord
from tundish.kernel.texts import visible
from tundish.seal.errors import TermsInvalidError
from tundish.seal.fields import CheckedDigest, Moment

MAX_VERSION = 2**31 - 1
_LONGEST = 300


class PackageStatement(SignedRecord):
    """Product, version counter, end date and parents: what makes a signature fresh.

    Attributes:
        product: Name under which versions are counted, such as a scenario's key.
        version: Counter from 1; a device refuses a lower one than it has seen.
        not_after: ISO 8601 moment after which the package is refused.
        created_at: When it was sealed.
        parents: Digests of what it was made from: graph, run, data set.
    """

    format: Literal["tundish.package"] = "tundish.package"
    product: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    ]
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    not_after: Moment
    created_at: Moment
    parents: tuple[CheckedDigest, ...] = ()


def make_statement(
    *,
    product: str,
    version: int,
    not_after: str,
    created_at: str,
    parents: tuple[Digest, ...] = (),
) -> PackageStatement:
    """Build a statement from a caller's values.

    Raises:
        TermsInvalidError: naming the field that has the wrong form.
    """
    try:
        return PackageStatement(
            product=product,
            version=version,
            not_after=not_after,
            created_at=created_at,
            parents=parents,
        )
    except ValidationError as error:
        raise TermsInvalidError(first_fault("package statement", error)) from error


def first_fault(what: str, error: ValidationError) -> str:
    """Return one sentence on the first fault that validation found.

    Names of fields and values come from outside: they are cut, and control characters
    in them are written out, so that no document can steer a terminal or flood a log.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    where = f"The field {_plain(place)} of the {what}" if place else f"The {what}"
    return f"{where} is wrong: {_plain(first['msg'].removeprefix('Value error, '))}."


def _plain(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return visible(cut)

"""Fields that signed forms share: a moment and a digest, each in its only form."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from tundish.kernel import clock
from tundish.kernel.digest import Digest, is_digest


def _moment(value: str) -> str:
    if clock.to_text(clock.from_text(value)) != value:
        msg = f"the time {value!r} is not written in UTC with a Z"
        raise ValueError(msg)
    return value


def _digest(value: Digest) -> Digest:
    if not is_digest(value):
        msg = f"{value[:80]!r} is not a digest"
        raise ValueError(msg)
    return value


Moment: TypeAlias = Annotated[str, AfterValidator(_moment)]
"""An ISO 8601 moment in the one form that ``clock.to_text`` writes."""
CheckedDigest: TypeAlias = Annotated[Digest, AfterValidator(_digest)]
"""A digest that has the form of one."""

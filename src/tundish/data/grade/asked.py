"""What stands beside the data when it is graded: the present, the terms, how far to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tundish.data.card.beside import Known
from tundish.data.card.card import Use
from tundish.data.grade.checks import Brief
from tundish.data.join import JoinWish
from tundish.data.times import to_us


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is known and wished beside the columns that a user named.

    Attributes:
        now: The present, from the caller's clock; times after it are findings.
        units: Column -> unit of measurement, added to those in the header.
        licence: The terms as stated, or ``None`` if nobody said.
        licence_kind: Their class in the catalogue (``A`` ... ``U``), if it has one.
        known: The set's card; if absent, one that lies beside a file is taken.
        use: What is meant to be done with the set; decides the licence gate.
        deep: False leaves out the indicators that fit models.
        join: Results of a laboratory to be joined; the target is then theirs.
    """

    now: datetime
    units: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    licence_kind: str | None = None
    known: Known | None = None
    use: Use | None = None
    deep: bool = True
    join: JoinWish | None = None

    def brief(self, name: str, task: str) -> Brief:
        """Return what the checks are told of a set."""
        return Brief(
            name=name,
            task=task,
            now_us=to_us(self.now),
            licence=self.licence,
            licence_kind=self.licence_kind,
            known=self.known,
            use=self.use,
            deep=self.deep,
        )

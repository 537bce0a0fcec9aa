"""The signed budget of answers: what a grant allows in a day, wherever the model is asked.

The line's own file may limit what is asked by source time, and whoever owns the box may
edit that file. The grant's limit is signed by the owner of the model and counted by the
box's clock in its record of times and uses, which its ledger anchors: another line file,
another buffer, a restart or a renewal gives no new budget.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tundish.flows.workspace import Workspace
from tundish.seal.grant import OpenedGrant

BLOCKS_A_DAY = 100


class GrantMeter:
    """Hands out answers within a grant; a ``line.budget.Meter``.

    Answers are taken from the record in blocks of a hundredth of the day's, so that a
    line need not write to the disk for each. What is left of a block when the process
    ends, or at midnight UTC, is lost.

    Args:
        workspace: The box's.
        grant: What was opened; None: a package in clear, not limited.

    Attributes:
        given_today: Answers of a limited grant that this process gave since midnight UTC.
    """

    def __init__(self, workspace: Workspace, grant: OpenedGrant | None) -> None:
        self._workspace = workspace
        self._grant = grant
        self._held = 0
        self._day = ""
        self.given_today = 0

    @property
    def per_day(self) -> int | None:
        """The signed limit; None: not limited."""
        return self._grant.terms.answers_per_day if self._grant else None

    def renewed(self, grant: OpenedGrant) -> None:
        """Go on with a renewal; what was counted stays counted."""
        self._grant, self._held = grant, 0

    def take(self, wanted: int) -> int:
        """Return how many of the wanted answers may be given now, and count them.

        Raises:
            FreshnessRolledBackError: if the record was put back.
        """
        grant, per_day = self._grant, self.per_day
        if grant is None or per_day is None:
            return wanted
        now = self._workspace.clock.now()
        self._end_day(now)
        if self._held < wanted:
            self._held += self._from_record(grant, wanted - self._held, per_day, now)
        given = min(wanted, self._held)
        self._held -= given
        self.given_today += given
        return given

    def _from_record(
        self, grant: OpenedGrant, wanted: int, per_day: int, now: datetime
    ) -> int:
        block = max(wanted, per_day // BLOCKS_A_DAY)
        until = grant.ends_at + timedelta(seconds=grant.terms.grace_s)
        return self._workspace.freshness().take_answers(
            grant.series, wanted=block, per_day=per_day, now=now, until=until
        )

    def _end_day(self, now: datetime) -> None:
        day = now.date().isoformat()
        if day > self._day:
            self._day, self._held, self.given_today = day, 0, 0

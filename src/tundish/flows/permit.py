"""The grant of a running line: its end, its warnings, its renewal.

The model stays where it is: a renewal is a new grant file in the place of the old one.
Time never goes back here: a clock set back while the line runs neither delays the end
nor passes unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tundish.flows.open_package import OpenModel, open_bytes, warning_level, warning_of
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, paths
from tundish.kernel.errors import MachineError, RefusedError, UsageError
from tundish.line.term import Term, stop_moment
from tundish.seal.freshness import TOLERANCE_S
from tundish.seal.grant import OpenedGrant

REMEMBER_S = 60.0
PACKAGE_ENDED = "the package ended"

Revoked = Callable[[OpenModel, OpenedGrant | None], datetime | None]
"""Says from when on a package or a grant is withdrawn; None: it is not."""


def never_revoked(_model: OpenModel, _grant: OpenedGrant | None) -> datetime | None:
    """Say that nothing is withdrawn."""
    return None


class GrantPermit:
    """Watches the grant of a line; a ``line.term.Permit``.

    Args:
        workspace: The box's; its clock tells the time, not that of a replay.
        model: The model that was opened.
        file: Of the grant; None if the package is not encrypted.
        safe_points: Times of day in UTC at which the line may be stopped.
        revoked: Asked at each look.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: OpenModel,
        file: Path | None,
        *,
        safe_points: Sequence[str] = (),
        revoked: Revoked = never_revoked,
    ) -> None:
        self._workspace = workspace
        self._model = model
        self._file = file
        self._safe_points = safe_points
        self._revoked = revoked
        self._grant = model.grant
        self._latest = workspace.clock.now()
        self._from = (self._latest, workspace.clock.monotonic_s())
        self._remembered = self._latest
        self._stamp = paths.stamp(file) if file else None
        self._data = paths.read_file(file) if file else b""
        self._level: int | None = None
        self._heard: datetime | None = None
        self._set_back = False

    def look(self) -> Term:
        """Return the term as of now; takes a renewal that lies there."""
        notes = [self._time(), self._remember(), self._renewal(), self._warning()]
        ends_at, why = self._end()
        grace_s = self._grant.terms.grace_s if self._grant else 0
        stops_at = stop_moment(ends_at, grace_s, self._safe_points)
        return Term(
            ends_at=ends_at,
            stops_at=stops_at,
            over=self._latest >= stops_at,
            reason=f"{why} at {clock.to_text(ends_at)}",
            note=" ".join(note for note in notes if note),
        )

    def _time(self) -> str:
        """Go on in time, never back; say once if the clock was set back."""
        began, began_s = self._from
        now, ran_s = (
            self._workspace.clock.now(),
            self._workspace.clock.monotonic_s() - began_s,
        )
        self._latest = max(self._latest, now, began + timedelta(seconds=ran_s))
        behind_s = (self._latest - now).total_seconds()
        was, self._set_back = self._set_back, behind_s > TOLERANCE_S
        if self._set_back and not was:
            return (
                f"The clock was set back by {behind_s:.0f} s; the end does not move, "
                "and the next start will be refused until it is right."
            )
        return ""

    def _remember(self) -> str:
        """Keep the time for the next start; say if it cannot be kept."""
        if (self._latest - self._remembered).total_seconds() < REMEMBER_S:
            return ""
        self._remembered = self._latest
        said = _tried(lambda: self._workspace.freshness().see_witness(self._latest))
        return f"The time cannot be remembered: {said}" if said else ""

    def _renewal(self) -> str:
        stamp = paths.stamp(self._file) if self._file else None
        if stamp is None or stamp == self._stamp:  # or gone while it is replaced
            return ""
        self._stamp = stamp
        said = _tried(self._renew)
        return f"The new grant does not count: {said}" if said else self._renewed()

    def _renew(self) -> None:
        data = paths.read_file(self._file) if self._file else b""
        if data == self._data:
            return
        digest = self._model.package.digest
        with self._workspace.refusals_kept("grant-renewed", [digest]):
            opened = open_bytes(self._workspace, self._model.package, data)
        self._grant, self._data, self._level = opened, data, None
        self._model.meter.renewed(opened)
        self._workspace.record(
            "grant-renewed",
            inputs=[digest],
            detail={"grant": opened.grant, "ends_at": clock.to_text(opened.ends_at)},
        )

    def _renewed(self) -> str:
        ends_at = self._grant.ends_at if self._grant else self._end()[0]
        return f"The grant now ends at {clock.to_text(ends_at)}."

    def _warning(self) -> str:
        ends_at, why = self._end()
        left_s = (ends_at - self._latest).total_seconds()
        level = warning_level(left_s)
        was, self._level = self._level, level
        if level is None or level == was:
            return ""
        return warning_of(left_s, package=why == PACKAGE_ENDED)

    def _end(self) -> tuple[datetime, str]:
        statement = self._model.package.statement
        ends = [(clock.from_text(statement.not_after), PACKAGE_ENDED)]
        if self._grant is not None:
            ends.append((self._grant.ends_at, "the grant ended"))
        withdrawn = self._revoked(self._model, self._grant)
        self._heard = None if withdrawn is None else self._heard or self._latest
        if withdrawn is not None and self._heard is not None:
            # a list is days on its way: the safe point is the next one from here on
            told = max(withdrawn, self._heard)
            ends.append((told, "the package or its grant was withdrawn"))
        return min(ends)


def _tried(act: Callable[[], None]) -> str:
    """Do something that may be refused; return the refusal in one line."""
    try:
        act()
    except (RefusedError, UsageError, MachineError) as error:
        return error.one_line()
    except OSError as error:
        return f"the file cannot be read ({type(error).__name__})."
    return ""

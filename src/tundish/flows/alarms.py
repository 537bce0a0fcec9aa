"""What people say to a line's alarms, and the labels that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from tundish.catalog.documents import read_document
from tundish.catalog.site import Event, SiteProfile
from tundish.flows.errors import AlarmMissingError
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest
from tundish.kernel.clock import from_text, to_text
from tundish.kernel.records import Record
from tundish.ledger.record import Entry
from tundish.line.linefile import read_line_file

Said = Literal["right", "wrong", "unclear"]
NEWEST = "newest"
_AT_ONCE = 500


class KnownAlarm(Record):
    """One alarm of a line, and what was last said to it; ``to`` is empty while it is open."""

    start: str
    to: str
    answers: int
    because: str
    said: str
    note: str
    by: str


class LabelsReport(Record):
    """A site profile with the alarms that were right as events."""

    file: str
    digest: str
    added: int
    wrong: int
    unclear: int
    unanswered: int


class AlarmBook:
    """The alarms of one line; every look reads only what is new in the ledger.

    Args:
        workspace: Whose ledger.
        line: The line's name.
        most: Alarms that are remembered; the oldest go first.
    """

    def __init__(
        self, workspace: Workspace, line: str, most: int | None = None
    ) -> None:
        self._workspace, self._line, self._most = workspace, line, most
        self._next = 0
        self._found: dict[str, KnownAlarm] = {}

    def look(self, most: int = _AT_ONCE) -> bool:
        """Take note of some entries that are new; return whether there are more."""
        with self._workspace.ledger() as ledger:
            for count, (place, entry) in enumerate(ledger.entries(self._next)):
                if count == most:
                    return True
                self._take(entry)
                self._next = place + 1
        return False

    def alarms(self) -> tuple[KnownAlarm, ...]:
        """Return what is known by now, oldest first."""
        while self.look():
            pass
        return tuple(self._found[start] for start in sorted(self._found))

    def answer(
        self, said: Said, when: str = NEWEST, note: str = "", by: str = ""
    ) -> KnownAlarm:
        """Write down what a person says to an alarm; see ``answer_alarm``.

        Args:
            said: Whether the alarm was right.
            when: A moment within it.
            note: In the person's own words.
            by: Whose word it is; unsaid: this workspace's. The same word of the same
                person is written once.

        Raises:
            AlarmMissingError: if the line had no alarm then.
        """
        alarms = self.alarms()
        chosen = _at(alarms, when)
        if chosen is None:
            have = (
                f"the newest began at {alarms[-1].start}" if alarms else "it had none"
            )
            msg = f"The line has no alarm at {when!r}; {have}."
            raise AlarmMissingError(msg)
        note = note[:300]
        change = {"said": said, "note": note, "by": by or self._workspace.actor}
        answered = chosen.model_copy(update=change)
        if answered != chosen:
            detail: dict[str, JsonValue] = {
                "line": self._line, "from": chosen.start, "answer": said, "note": note,
            }  # fmt: skip
            if by:
                detail["by"] = by
            self._workspace.record("line-alarm-answered", detail=detail)
        return answered

    def _take(self, entry: Entry) -> None:
        detail = entry.detail
        if detail.get("line") != self._line or not entry.act.startswith("line-alarm"):
            return
        start = str(detail.get("from", ""))
        known = self._found.get(start) or KnownAlarm(
            start=start, to="", answers=0, because="", said="", note="", by=""
        )
        if entry.act == "line-alarm-answered":
            change = {
                "said": detail["answer"],
                "note": detail["note"],
                "by": detail.get("by", entry.actor),
            }
        else:
            change = {n: detail[n] for n in ("to", "answers", "because") if n in detail}
        self._found[start] = KnownAlarm.model_validate(known.model_dump() | change)
        if self._most is not None and len(self._found) > self._most:
            del self._found[min(self._found)]


def list_alarms(workspace: Workspace, path: Path) -> tuple[KnownAlarm, ...]:
    """Return the alarms of a line that the ledger knows, oldest first.

    Raises:
        DocumentInvalidError: if the line file is wrong.
    """
    return AlarmBook(workspace, read_line_file(path).name).alarms()


def answer_alarm(
    workspace: Workspace, path: Path, said: Said, when: str = NEWEST, note: str = ""
) -> KnownAlarm:
    """Write down what a person says to an alarm; a later word takes its place.

    Args:
        workspace: The box's.
        path: The line file.
        said: Whether the alarm was right.
        when: The alarm's beginning or any moment within it, ISO 8601; or the newest.
        note: In the person's own words; not a person's name.

    Raises:
        AlarmMissingError: if the line had no alarm then.
    """
    return AlarmBook(workspace, read_line_file(path).name).answer(said, when, note)


def labels(workspace: Workspace, path: Path, site: Path, to: Path) -> LabelsReport:
    """Write a site profile with the alarms that were right as marked events.

    Together with data that reaches that far it makes a new version of the data set:
    ``judge`` then counts what a model finds of them, and training leaves them out.

    Raises:
        DocumentInvalidError: if line file or profile are wrong.
        OutExistsError: if another file is at ``to``.
    """
    profile = read_document(site, SiteProfile)
    alarms = list_alarms(workspace, path)
    known = {(event.start, event.end) for event in profile.events}
    right = [
        Event(
            start=from_text(one.start), end=from_text(one.to), kind="confirmed alarm",
            marked_by="operator",
        )
        for one in alarms
        if one.said == "right" and one.to
    ]  # fmt: skip
    new = [event for event in right if (event.start, event.end) not in known]
    events = tuple(sorted((*profile.events, *new), key=lambda event: event.start))
    data = canonical.pretty(profile.model_copy(update={"events": events}).to_json())
    write_out(to, data.encode())
    name = digest.of_bytes(data.encode())
    counts = {
        said: sum(one.said == said for one in alarms)
        for said in ("wrong", "unclear", "")
    }
    detail: dict[str, JsonValue] = {
        "line": read_line_file(path).name,
        "added": len(new),
    }
    workspace.record(
        "line-labels", outputs=[name], names={name: to.name}, detail=detail
    )
    return LabelsReport(
        file=str(to), digest=name, added=len(new), wrong=counts["wrong"],
        unclear=counts["unclear"], unanswered=counts[""],
    )  # fmt: skip


def _at(alarms: tuple[KnownAlarm, ...], when: str) -> KnownAlarm | None:
    if when == NEWEST:
        return alarms[-1] if alarms else None
    try:
        moment = to_text(from_text(when))
    except ValueError:
        return None
    for one in reversed(alarms):
        if one.start <= moment <= (one.to or moment):
            return one
    return None

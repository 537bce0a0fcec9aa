"""A line's alarms over HTTP: the ledger behind the desk's door."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from tundish.flows.alarms import AlarmBook, KnownAlarm
from tundish.flows.refusals import Refusals, Refused
from tundish.flows.workspace import Workspace
from tundish.kernel.canonical import Json
from tundish.line.desk import Desk, Wanted, Word
from tundish.line.linefile import LineFile

MOST_ALARMS = 2000


class DeskAlarms:
    """What a desk knows of a line's alarms; written down as by ``tundish line answer``."""

    def __init__(self, workspace: Workspace, line: str) -> None:
        self._book = AlarmBook(workspace, line, most=MOST_ALARMS)

    def look(self) -> bool:
        """Take note of some of what is new; whether there is more."""
        return self._book.look()

    def newest(self, wanted: Wanted) -> Sequence[dict[str, Json]]:
        """Return alarms, newest first."""
        found: list[KnownAlarm] = [
            one
            for one in reversed(self._book.alarms())
            if wanted.which == "all" or not one.said
        ]
        return [one.to_json() for one in found[: wanted.most]]

    def say(self, word: Word, operator: str) -> dict[str, Json]:
        """Write down a word of an operator.

        Raises:
            AlarmMissingError: if the line had no alarm then.
        """
        by = f"{operator}: {word.by}" if word.by else operator
        return self._book.answer(word.answer, word.when, word.note, by).to_json()


def desk_of(workspace: Workspace, line: LineFile) -> tuple[Desk, ...]:
    """Return the desk of a line; none if its file has no such part.

    Raises:
        LineFileInvalidError, TlsUnusableError, TokenWeakError, SecretMissingError,
        PlaintextRefusedError: if its door cannot be opened safely.
    """
    if line.desk is None:
        return ()
    alarms = DeskAlarms(workspace, line.name)

    def tell(refused: Refused) -> None:
        addresses: dict[str, JsonValue] = dict(refused.addresses)
        workspace.record(
            "line-desk-refused",
            detail={
                "line": line.name,
                "requests": refused.requests,
                "addresses": addresses,
            },
            refused=refused.code,
        )

    refusals = Refusals(workspace.clock.monotonic_s, tell)
    return (Desk(line.desk, alarms, workspace.clock, refusals),)

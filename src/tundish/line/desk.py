"""Alarms over HTTP: an operator's page lists them and says right, wrong or unclear.

The line opens this door only if its file has a part ``desk``. Every operator, or panel,
has a token of its own, so that the ledger says whose word it was. What is known of alarms
and where words are written comes from outside: this room knows no ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Protocol
from urllib.parse import parse_qsl

from pydantic import Field, StringConstraints

from tundish.catalog.documents import parse_document
from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.line.httpdoor import open_door
from tundish.line.httplisten import Asked, HttpListener, Reply, refusal
from tundish.line.linefile import DeskSpec
from tundish.line.serving.limits import Limits

Said = Literal["right", "wrong", "unclear"]
MOST_LISTED: Final = 500
_BODY = 4096
_RATE = 10.0
_LOOK_S = 1.0
_Plain = StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")


class Word(Record):
    """What an operator says.

    Attributes:
        when: The alarm's beginning, or any moment within it, ISO 8601.
        answer: Whether the alarm was right.
        note: In the operator's own words; not a person's name.
        by: Who speaks, where several share a panel: a shift or a badge.
    """

    when: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    answer: Said
    note: Annotated[str, _Plain] = ""
    by: Annotated[str, StringConstraints(pattern=r"^[\w .-]{0,60}$")] = ""


class Wanted(Record):
    """Which alarms a page asks for.

    Attributes:
        which: ``open``: those without a word; ``all``: every one.
        most: The newest so many.
    """

    which: Literal["open", "all"] = "open"
    most: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 100


class Alarms(Protocol):
    """What is known of a line's alarms."""

    def look(self) -> bool:
        """Take note of some of what is new; whether there is more."""
        ...

    def newest(self, wanted: Wanted) -> Sequence[dict[str, Json]]:
        """Return alarms, newest first."""
        ...

    def say(self, word: Word, operator: str) -> dict[str, Json]:
        """Write down a word; return the alarm with it.

        Raises:
            TundishError: if there was no alarm then; its code is ``alarm-missing``.
        """
        ...


class Refusals(Protocol):
    """Counts who was refused, and tells somebody now and then."""

    def heard(self, peer: str, code: str) -> None:
        """Count one: address, error code."""
        ...

    def look(self) -> None:
        """Tell of those that nobody was told of, if it is time."""
        ...

    def flush(self) -> None:
        """Tell of those that nobody was told of."""
        ...


def read_word(body: bytes) -> Word:
    """Read what an operator says.

    Args:
        body: Untrusted.

    Raises:
        DocumentMalformedError, DocumentInvalidError: naming what is wrong.
    """
    return parse_document(body, Word, "the answer to an alarm")


def read_query(query: str) -> Wanted:
    """Read which alarms are asked for.

    Args:
        query: What follows the question mark. Untrusted.

    Raises:
        ValueError: with what is wrong, in words.
    """
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=4)
    said = dict(pairs)
    if len(said) != len(pairs) or set(said) - {"which", "most"}:
        msg = "Ask with which=open or which=all, and most=NUMBER."
        raise ValueError(msg)
    which, most = said.get("which", "open"), said.get("most", "100")
    fits = most.isascii() and most.isdecimal() and len(most) < 4
    if which not in {"open", "all"} or not fits or not 0 < int(most) <= MOST_LISTED:
        msg = f"which is open or all, and most is 1 to {MOST_LISTED}."
        raise ValueError(msg)
    return Wanted(which="all" if which == "all" else "open", most=int(most))


class Desk:
    """The door for operators; see the module.

    Args:
        spec: The line file's part.
        alarms: What is known of them.
        clock: For rates.
        refusals: Counts the refused tokens.

    Raises:
        LineFileInvalidError, TlsUnusableError, TokenWeakError, SecretMissingError,
        PlaintextRefusedError: if the door cannot be opened safely.
    """

    def __init__(
        self, spec: DeskSpec, alarms: Alarms, clock: Clock, refusals: Refusals
    ) -> None:
        self._alarms, self._refusals = alarms, refusals
        self._watch: asyncio.Task[None] | None = None
        self._behind: asyncio.Task[None] | None = None
        door = open_door(
            spec.endpoint,
            "The desk",
            security=spec.security,
            tokens=spec.operators,
            methods={"": ("GET", "POST")},
            limits=Limits(
                body=_BODY, connections=32, head_s=5.0, body_s=5.0, answer_s=5.0,
                rate=_RATE,
            ),
            clock=clock,
            heard=refusals.heard,
        )  # fmt: skip
        self._listener = HttpListener(door, self._asked)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it does not."""
        return self._listener.port

    async def open(self) -> None:
        """Listen.

        Raises:
            AddressTakenError: if the system does not give the address.
        """
        await self._listener.open()
        self._behind = asyncio.create_task(self._catch_up())
        self._watch = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Listen no more; safe to call twice."""
        running = [task for task in (self._behind, self._watch) if task is not None]
        self._behind = self._watch = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._listener.close()
        self._refusals.flush()

    async def _catch_up(self) -> None:
        """Take note of what is new, a little at a time, so that nothing else waits."""
        more = True
        while more:
            more = self._alarms.look()
            await asyncio.sleep(0)

    async def _look(self) -> None:
        """Have refused tokens told of while the line runs, and not at its end only."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._refusals.look()

    async def _asked(self, asked: Asked) -> Reply:
        await self._catch_up()
        if asked.head.method == "GET":
            try:
                wanted = read_query(asked.head.query)
            except ValueError as error:
                return refusal(400, str(error))
            found: list[Json] = [*self._alarms.newest(wanted)]
            return Reply(status=200, body={"alarms": found})
        try:
            word = read_word(asked.body)
        except TundishError as error:
            return refusal(422, error.message)
        try:
            return Reply(status=200, body=self._alarms.say(word, asked.client))
        except TundishError as error:
            if error.code != "alarm-missing":
                raise
            return refusal(404, error.message)

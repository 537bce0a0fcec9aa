"""Laws of the desk: what operators say over HTTP is written as what is said by command."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.flows.test_alarms import ALARMS, LINE, Box
from tests.line.conftest import Kit
from tests.line.mqttline import aside
from tests.ports import free_port

from tundish.catalog.documents import read_document
from tundish.catalog.site import SiteProfile
from tundish.flows import alarms as flow
from tundish.flows.alarms import AlarmBook, labels, list_alarms
from tundish.flows.desk import desk_of
from tundish.flows.ledger import list_ledger
from tundish.kernel import canonical
from tundish.kernel.errors import TundishError
from tundish.line.desk import Desk
from tundish.line.engine import LineEngine
from tundish.line.errors import LineFileInvalidError
from tundish.line.linefile import read_line_file
from tundish.line.parts import LineParts
from tundish.line.serving.errors import (
    AddressTakenError,
    PlaintextRefusedError,
    TokenWeakError,
)

EARLY, PANEL = "e" * 40, "p" * 40


class Room:
    """A box with a desk that is open, and somebody at a page."""

    def __init__(self, root: Path) -> None:
        self.box = Box(root)
        self.port = free_port()
        for name, token in (("early", EARLY), ("panel", PANEL)):
            (root / f"{name}.token").write_text(token)
        self.said: dict[str, Any] = {
            "endpoint": f"http://127.0.0.1:{self.port}/alarms",
            "operators": {
                "early-shift": {"file": "early.token"},
                "panel-1": {"file": "panel.token"},
            },
        }
        self.write()

    def write(self) -> None:
        self.box.line.write_bytes(canonical.dumps(LINE | {"desk": self.said}))

    def desk(self) -> Desk:
        return desk_of(self.box.workspace, read_line_file(self.box.line))[0]

    def run(self, script: Callable[[], Awaitable[None]]) -> None:
        async def job() -> None:
            desk = self.desk()
            await desk.open()
            try:
                await script()
            finally:
                await desk.close()

        asyncio.run(asyncio.wait_for(job(), 30))

    async def ask(
        self, method: str = "GET", more: str = "", body: Any = None, token: str = EARLY
    ) -> tuple[int, dict[str, Any]]:
        return await aside(self._ask, method, more, body, token)  # type: ignore[no-any-return]

    def _ask(self, method: str, more: str, body: Any, token: str) -> Any:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        data = None if body is None else json.dumps(body).encode()
        if method == "POST" and data is None:
            data = b""
        try:
            shown = {"Authorization": f"Bearer {token}"}
            link.request(method, f"/alarms{more}", data, shown)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()

    def answered(self) -> list[dict[str, Any]]:
        return [
            dict(entry.detail)
            for _, entry in list_ledger(self.box.workspace)
            if entry.act == "line-alarm-answered"
        ]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "box")


pytestmark = pytest.mark.integration


def test_what_is_open_is_listed_newest_first_until_it_has_a_word(room: Room) -> None:
    async def script() -> None:
        status, said = await room.ask()
        assert status == 200
        assert [a["start"] for a in said["alarms"]] == [a[0] for a in ALARMS[::-1]]
        word = {"when": ALARMS[1][0], "answer": "wrong", "note": "a valve was moved"}
        status, alarm = await room.ask("POST", body=word)
        assert (status, alarm["said"], alarm["by"]) == (200, "wrong", "early-shift")
        assert len((await room.ask())[1]["alarms"]) == 2
        assert len((await room.ask(more="?which=all"))[1]["alarms"]) == 3
        assert len((await room.ask(more="?which=all&most=1"))[1]["alarms"]) == 1

    room.run(script)
    assert list_alarms(room.box.workspace, room.box.line)[1].note == "a valve was moved"


def test_a_word_over_http_is_written_as_one_by_command_and_becomes_a_label(
    room: Room, tmp_path: Path
) -> None:
    async def script() -> None:
        word = {"when": "2026-05-02T10:10:00Z", "answer": "right", "by": "badge 12"}
        for _ in range(2):  # the page sends it again: one word
            assert (await room.ask("POST", body=word, token=PANEL))[0] == 200

    room.run(script)
    flow.answer_alarm(room.box.workspace, room.box.line, "right", ALARMS[1][0])
    by_http, by_command = room.answered()
    assert by_http.pop("by") == "panel-1: badge 12"
    assert set(by_http) == set(by_command)
    to = tmp_path / "next.yaml"
    report = labels(room.box.workspace, room.box.line, room.box.site, to)
    assert report.added == 2
    assert len(read_document(to, SiteProfile).events) == 3


def test_what_was_said_by_command_meanwhile_is_seen(room: Room) -> None:
    async def script() -> None:
        assert len((await room.ask())[1]["alarms"]) == 3
        flow.answer_alarm(room.box.workspace, room.box.line, "unclear")
        assert len((await room.ask())[1]["alarms"]) == 2

    room.run(script)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (None, 422, ""),
        ([], 422, ""),
        ({"when": ALARMS[0][0], "answer": "perhaps"}, 422, "answer"),
        ({"when": ALARMS[0][0], "answer": "right", "who": "me"}, 422, "who"),
        ({"when": ALARMS[0][0], "answer": "right", "note": "a\u0000"}, 422, "note"),
        ({"when": ALARMS[0][0], "answer": "right", "by": "<b>"}, 422, "by"),
        ({"answer": "right"}, 422, "when"),
        ({"when": "2020-01-01T00:00:00Z", "answer": "right"}, 404, "no alarm at"),
        ({"when": "newest", "answer": "right", "note": "x" * 5000}, 413, "at most"),
    ],
)
def test_what_is_no_word_is_refused_and_nothing_is_written(
    room: Room, body: Any, status: int, said: str
) -> None:
    async def script() -> None:
        found = await room.ask("POST", body=body)
        assert found[0] == status
        assert said in found[1]["error"]

    room.run(script)
    assert room.answered() == []


@pytest.mark.parametrize(
    "query", ["?which=some", "?most=0", "?most=501", "?most=%D9%A1", "?x=1", "?most=1&most=2"]
)  # fmt: skip
def test_a_question_that_is_none_is_refused(room: Room, query: str) -> None:
    async def script() -> None:
        assert (await room.ask(more=query))[0] == 400

    room.run(script)


def test_who_has_no_token_reads_and_says_nothing_and_is_counted(room: Room) -> None:
    async def script() -> None:
        word = {"when": ALARMS[0][0], "answer": "right"}
        for _ in range(3):
            status, said = await room.ask("POST", body=word, token="x" * 40)
            assert status == 401
            assert "alarms" not in said
        assert (await room.ask(token=PANEL[:-1]))[0] == 401

    room.run(script)
    assert room.answered() == []
    told = [
        entry
        for _, entry in list_ledger(room.box.workspace)
        if entry.act == "line-desk-refused"
    ]
    assert [entry.code for entry in told] == ["token-refused"], "one entry a minute"
    assert told[0].detail["requests"] == 4
    assert told[0].detail["addresses"] == {"127.0.0.1": 4}


def test_an_operator_in_a_hurry_waits(room: Room) -> None:
    async def script() -> None:
        found = [(await room.ask(more="?most=1"))[0] for _ in range(40)]
        assert 429 in found
        assert (await room.ask(token=PANEL))[0] == 200, "the others do not"

    room.run(script)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"endpoint": "http://10.0.0.5:8099/alarms"}, PlaintextRefusedError),
        ({"endpoint": "http://0.0.0.0:8099/alarms"}, LineFileInvalidError),
        ({"operators": {"a": {"file": "w"}}}, TokenWeakError),
        (
            {"operators": {key: {"file": "early.token"} for key in "ab"}},
            LineFileInvalidError,
        ),
    ],
)
def test_a_desk_that_is_not_safe_is_not_opened(
    room: Room, changes: Any, error: type[TundishError]
) -> None:
    (room.box.line.parent / "w").write_text("secret")
    room.said |= changes
    room.write()
    with pytest.raises(error):
        room.desk()


def test_each_look_reads_only_what_is_new(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking costs what was written since, not what the ledger holds."""
    book = AlarmBook(room.box.workspace, "pipe")
    assert not book.look()
    before = book._next
    assert before == len(list_ledger(room.box.workspace))
    taken: list[object] = []
    monkeypatch.setattr(book, "_take", taken.append)
    assert not book.look()
    assert taken == []
    flow.answer_alarm(room.box.workspace, room.box.line, "wrong")
    assert not book.look()
    assert len(taken) == 1


def test_a_book_with_a_bound_forgets_the_oldest(room: Room) -> None:
    book = AlarmBook(room.box.workspace, "pipe", most=2)
    assert [one.start for one in book.alarms()] == [ALARMS[1][0], ALARMS[2][0]]


def test_long_ledgers_are_read_in_small_steps(room: Room) -> None:
    book = AlarmBook(room.box.workspace, "pipe")
    steps = 1
    while book.look(most=3):
        steps += 1
    assert steps >= 4
    assert len(book.alarms()) == 3


def test_a_desk_is_open_as_long_as_its_line_runs(room: Room) -> None:
    """It listens from the start of the line to its end, and no longer."""
    box, desk, kit = room.box, room.desk(), Kit
    source = kit.ScriptedSource(("level",))
    scenario = kit.scenario()
    with kit.buffer(box.line.parent / "b", scenario) as buffer:
        engine = LineEngine(
            LineParts(
                scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                sources=(source,), buffer=buffer, services=(desk,),
            )
        )  # fmt: skip

        async def job() -> None:
            stop = asyncio.Event()
            assert desk.port == 0
            running = asyncio.create_task(engine.run(stop))
            await kit.eventually(lambda: desk.port != 0)
            assert (await room.ask())[0] == 200
            stop.set()
            await running
            assert desk.port == 0

        asyncio.run(asyncio.wait_for(job(), 30))


def test_an_address_that_is_taken_keeps_the_line_from_starting(room: Room) -> None:
    async def job() -> None:
        first = room.desk()
        await first.open()
        with pytest.raises(AddressTakenError):
            await room.desk().open()
        await first.close()

    asyncio.run(job())

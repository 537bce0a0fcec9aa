"""Laws of the MQTT source and sink, against a real Mosquitto on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.line import mosquitto, stalls
from tests.line.mosquitto import Mosquitto, Talker, running
from tests.line.mqttline import MqttLine, aside, payload, sink_spec, source_spec
from tests.line.proxy import Cable

Kit = Any  # the classes live in conftest, which cannot be imported

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed"),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running(tmp_path_factory.mktemp("broker")) as one:
        yield one


@pytest.fixture
def cable(broker: Mosquitto) -> Iterator[Cable]:
    with Cable(broker.port) as one:
        yield one


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic of this test alone: the broker keeps the sessions of the others."""
    return "plant/" + re.sub(r"\W", "-", request.node.name)


def _through(cable: Cable) -> str:
    return f"mqtt://127.0.0.1:{cable.port}"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_samples_are_scored_and_answers_come_out_acknowledged(
    kit: Kit, topic: str, broker: Mosquitto, tmp_path: Path, version: str
) -> None:
    source = source_spec(broker.endpoint, {"level": topic}, version=version)
    line = MqttLine(kit, tmp_path, source, sink_spec(broker.endpoint, version=version))

    async def script() -> None:
        before = broker.subscribed("plant/answer")
        hear = partial(broker.hear, "plant/answer", 3, limit_s=20)
        hearing = asyncio.create_task(aside(hear))
        await line.until(lambda: broker.subscribed("plant/answer") > before)
        for row in range(3):
            await aside(broker.say, topic, payload(kit, row))
        await line.until(lambda: line.rows() == [0, 1, 2])
        said = [json.loads(message.split(b" ", 1)[1]) for message in await hearing]
        assert [answer["value"] for answer in said] == [0.0, 1.0, 2.0]
        last_us = kit.sample(2).at_us
        assert said[2]["id"] == f"{kit.MODEL}/{last_us}"
        assert said[2]["quality"] == "good"
        assert [said[2]["lower"], said[2]["upper"]] == [1.0, 3.0]
        await _shown(broker, "state", "good")

    report = line.run(script)
    assert report.delivered == {"answers": 3}
    assert report.gaps == ()
    left = broker.hear("plant/state", 1)[0].split(b" ", 1)[1]
    assert json.loads(left)["reason"] == "the line has stopped"


def test_what_the_broker_kept_while_the_cable_was_out_comes_later_in_order(
    kit: Kit, topic: str, broker: Mosquitto, cable: Cable, tmp_path: Path
) -> None:
    line = MqttLine(kit, tmp_path, source_spec(_through(cable), {"level": topic}))

    async def script() -> None:
        talker = Talker(broker, topic)
        for row in range(5):
            talker.say(payload(kit, row))
        await line.until(lambda: line.rows() == list(range(5)))
        await aside(cable.cut)
        for row in range(5, 65):  # ten minutes, a hundred times as fast
            await asyncio.sleep(0.1)
            talker.say(payload(kit, row))
        assert line.states()[-1] == "stale"
        await aside(cable.mend)
        await line.until(lambda: line.rows() == list(range(65)))
        await aside(talker.close)

    report = line.run(script)
    assert report.gaps == ()
    assert report.out_of_order == 0
    assert "link-lost" in line.kinds()
    assert "link-restored" in line.kinds()


@pytest.mark.parametrize("ways", [("up", "down"), ("up",), ("down",)])
def test_a_half_open_connection_is_noticed_within_the_bound(
    kit: Kit, topic: str, broker: Mosquitto, cable: Cable, tmp_path: Path, ways: Any
) -> None:
    line = MqttLine(kit, tmp_path, source_spec(_through(cable), {"level": topic}))

    async def script() -> None:
        cable.hang(*ways)
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        async with stalls.watching() as stood:
            await line.until(lambda: "link-lost" in line.kinds())
            took_s = loop.time() - begin_s - stood.total_s()
        assert took_s < 0.3 + 1.0 + 0.5  # probe_s + timeout_s + slack
        assert "does not answer a ping" in line.texts("link-lost")[0]
        await aside(cable.mend)
        await line.until(lambda: line.kinds().count("link-restored") == 2)
        await aside(broker.say, topic, payload(kit, 0))
        await line.until(lambda: line.rows() == [0])

    line.run(script)


def test_a_message_that_is_delivered_twice_changes_nothing(
    kit: Kit, topic: str, broker: Mosquitto, cable: Cable, tmp_path: Path
) -> None:
    line = MqttLine(kit, tmp_path, source_spec(_through(cable), {"level": topic}))

    async def script() -> None:
        cable.hang("up")  # the acknowledgements do not arrive
        for row in range(5):
            await aside(broker.say, topic, payload(kit, row))
        await line.until(lambda: line.rows() == list(range(5)))
        await line.until(lambda: "link-lost" in line.kinds())
        await aside(cable.mend)
        await aside(broker.say, topic, payload(kit, 5))
        await line.until(lambda: line.rows() == list(range(6)))

    report = line.run(script)
    assert report.duplicates == 5
    assert report.received == 6
    assert report.estimates == 6


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_that_goes_and_comes_back_is_taken_up_again(
    kit: Kit, topic: str, tmp_path: Path, how: signal.Signals
) -> None:
    with running(tmp_path / "broker") as broker:
        source, sink = (
            source_spec(broker.endpoint, {"level": topic}),
            sink_spec(broker.endpoint),
        )
        line = MqttLine(kit, tmp_path, source, sink)

        async def script() -> None:
            await aside(broker.say, topic, payload(kit, 0))
            await line.until(lambda: line.rows() == [0])
            for turn in range(1, 4):
                await aside(broker.stop, how)
                await line.until(lambda: line.kinds().count("link-lost") == turn)  # noqa: B023
                await aside(broker.start)
                await line.until(
                    lambda: line.kinds().count("link-restored") == turn + 1  # noqa: B023
                )
                await aside(broker.say, topic, payload(kit, turn))
                await line.until(lambda: line.rows() == list(range(turn + 1)))  # noqa: B023
            await line.until(lambda: line.engine.report().delivered == {"answers": 4})

        report = line.run(script)
    assert report.gaps == ()


def test_a_hole_is_a_gap_since_mqtt_has_no_history(
    kit: Kit, topic: str, broker: Mosquitto, tmp_path: Path
) -> None:
    line = MqttLine(kit, tmp_path, source_spec(broker.endpoint, {"level": topic}))

    async def script() -> None:
        for row in (0, 1, 7):
            await aside(broker.say, topic, payload(kit, row))
        await line.until(lambda: line.rows() == [0, 1, 7])

    report = line.run(script)
    assert [(g.from_us, g.to_us) for g in report.gaps] == [
        (kit.sample(1).at_us, kit.sample(7).at_us)
    ]
    assert "MQTT has no history" in report.gaps[0].reason


def test_a_retained_value_without_a_time_is_shown_and_never_kept(
    kit: Kit, topic: str, broker: Mosquitto, tmp_path: Path
) -> None:
    broker.say(topic, "42.5", "-r")
    nodes = {"level": topic}
    spec = source_spec(broker.endpoint, nodes).model_copy(
        update={"options": {"timeout_s": 1.0}}
    )
    line = MqttLine(kit, tmp_path, spec, live=True)

    async def script() -> None:
        await line.until(lambda: line.engine.report().untimed == 1)
        await aside(broker.say, topic, "43.5")
        await line.until(lambda: line.engine.report().received == 1)

    report = line.run(script)
    assert report.table.value.tolist() == [43.5]
    assert report.table.quality.tolist() == ["uncertain"]
    assert "time of receipt" in report.table.reason[0]


def test_a_wrong_payload_is_kept_as_bad_and_the_line_goes_on(
    kit: Kit, topic: str, broker: Mosquitto, tmp_path: Path
) -> None:
    line = MqttLine(kit, tmp_path, source_spec(broker.endpoint, {"level": topic}))
    at_us = kit.START_US + 10_000_000

    async def script() -> None:
        await aside(broker.say, topic, payload(kit, 0))
        await line.until(lambda: line.rows() == [0])
        wrong = json.dumps({"t": at_us, "v": "1.0", "q": "good"})
        await aside(broker.say, topic, wrong)
        await line.until(lambda: line.rows() == [0, 1])
        await line.until(lambda: line.states()[-1] == "bad")
        twice = f'{{"t": {at_us + 10_000_000}, "v": 1, "v": 2, "q": "good"}}'
        for broken in (twice, "{", "NaN", b"\xff\x00", "[" * 5000, "null"):
            await aside(broker.say, topic, broken)
        await line.until(lambda: line.engine.report().untimed == 6)
        await aside(broker.say, topic, payload(kit, 2))
        await line.until(lambda: line.rows() == [0, 1, 2])

    report = line.run(script)
    assert report.table.quality.tolist() == ["good", "bad", "good"]
    assert report.received == 3
    assert "a text, expected a number" in report.table.reason[1]


async def _shown(broker: Mosquitto, name: str, wanted: str) -> Any:
    """Return the state that the broker keeps, as soon as it says what is wanted."""
    said: Any = {}
    async with asyncio.timeout(20):
        while said.get(name) != wanted:
            for message in await aside(broker.hear, "plant/state", 1):
                said = json.loads(message.split(b" ", 1)[1])
    return said


def test_a_line_that_dies_leaves_its_state_stale(
    kit: Kit, topic: str, broker: Mosquitto, cable: Cable, tmp_path: Path
) -> None:
    line = MqttLine(
        kit,
        tmp_path,
        source_spec(broker.endpoint, {"level": topic}),
        sink_spec(_through(cable)),
    )

    async def script() -> None:
        await aside(broker.say, topic, payload(kit, 0))
        await line.until(lambda: line.rows() == [0])
        await line.until(lambda: line.states()[-1] == "good")
        await _shown(broker, "state", "good")
        await aside(cable.cut)
        will = await _shown(broker, "reason", "the line is gone")
        assert will["state"] == "stale"
        await aside(cable.mend)
        await line.until(lambda: "sink-restored" in line.kinds())

    line.run(script)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_takeover_by_another_client_with_the_same_id_is_said(
    kit: Kit, topic: str, broker: Mosquitto, tmp_path: Path, version: str
) -> None:
    source = source_spec(
        broker.endpoint, {"level": topic}, version=version, client_id="twin"
    )
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first = MqttLine(kit, tmp_path / "1", source)
    second = MqttLine(kit, tmp_path / "2", source)

    async def script() -> None:
        stop = asyncio.Event()
        other = asyncio.create_task(second.engine.run(stop))
        lost = first.texts
        try:
            await first.until(lambda: any("twin" in text for text in lost("link-lost")))
        finally:
            stop.set()
            await other
            second.buffer.close()

    first.run(script)
    told = next(text for text in first.texts("link-lost") if "twin" in text)
    assert "another client" in told

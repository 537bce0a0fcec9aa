"""Laws of the Kafka source and sink, against real brokers on loopback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from tests.line import kafka_plant
from tests.line.kafka_plant import (
    Mock,
    Talker,
    Tansu,
    hear,
    running,
    sink_spec,
    source_spec,
)
from tests.line.mqttline import MqttLine as Line
from tests.line.mqttline import aside, payload

Kit = Any  # the classes live in conftest, which cannot be imported

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["mock", "tansu"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    if request.param == "tansu" and kafka_plant.TANSU_MISSING:
        pytest.skip("tansu is not installed")
    one = Mock() if request.param == "mock" else Tansu(tmp_path_factory.mktemp("t"))
    with running(one):
        yield one


@pytest.fixture
def topic(request: pytest.FixtureRequest, broker: Any) -> str:
    """A topic of this test alone."""
    name = re.sub(r"\W+", "-", request.node.name)
    broker.create(name)
    return name


def test_samples_are_scored_and_answers_come_out_acknowledged(
    kit: Kit, topic: str, broker: Any, tmp_path: Path
) -> None:
    nodes = {"answer": f"{topic}-a", "state": f"{topic}-s"}
    for name in nodes.values():
        broker.create(name)
    sink = sink_spec(broker.endpoint).model_copy(update={"nodes": nodes})
    line = Line(kit, tmp_path, source_spec(broker.endpoint, {"level": topic}), sink)
    talker = Talker(broker, topic)

    async def script() -> None:
        for row in range(3):
            talker.tell(payload(kit, row))
        await line.until(lambda: line.rows() == [0, 1, 2])

    report = line.run(script)
    assert report.delivered == {"answers": 3}
    assert report.gaps == ()
    heard = [one.split(b" ", 1) for one in hear(broker, nodes["answer"], 3)]
    said = sorted((json.loads(text) for _, text in heard), key=lambda one: one["time"])
    assert [answer["value"] for answer in said] == [0.0, 1.0, 2.0]
    assert said[2]["id"] == f"{kit.MODEL}/{kit.sample(2).at_us}"
    assert {key.decode() for key, _ in heard} == {one["id"] for one in said}


def test_what_came_while_the_line_was_away_is_read_on_in_order(
    kit: Kit, topic: str, broker: Any, tmp_path: Path
) -> None:
    talker = Talker(broker, topic)

    first = Line(kit, tmp_path, source_spec(broker.endpoint, {"level": topic}))

    async def begin() -> None:
        for row in range(5):
            talker.tell(payload(kit, row))
        await first.until(lambda: first.rows() == list(range(5)))

    first.run(begin)
    for row in range(5, 10):
        talker.tell(payload(kit, row))
    second = Line(kit, tmp_path, source_spec(broker.endpoint, {"level": topic}))

    async def go_on() -> None:
        await second.until(lambda: second.rows() == list(range(10)))

    report = second.run(go_on)
    assert report.gaps == ()
    assert report.received == 5, "what was noted as read is not read again"
    assert report.duplicates == 0


def test_without_a_time_in_the_payload_the_messages_own_counts_and_none_is_lost(
    kit: Kit, topic: str, broker: Any, tmp_path: Path
) -> None:
    spec = source_spec(broker.endpoint, {"level": topic})
    spec = spec.model_copy(update={"options": {"timeout_s": 1.0, "value": "v"}})
    line = Line(kit, tmp_path, spec, live=True)
    talker = Talker(broker, topic)

    async def script() -> None:
        for value in range(5):  # all in one millisecond
            talker.say(json.dumps({"v": value}), timestamp=kit.START_US // 1000)
        talker.flush()
        await line.until(lambda: line.engine.report().received == 5)
        samples = line.buffer.samples_after(0, limit=9)
        assert [one.values.tolist() for one in samples] == [[n] for n in range(5)]
        assert {one.at_us - kit.START_US for one in samples} == set(range(5))
        assert {one.quality for one in samples} == {"good"}

    line.run(script)


def test_a_topic_that_is_not_there_is_told_at_the_start(
    kit: Kit, broker: Any, tmp_path: Path
) -> None:
    spec = source_spec(broker.endpoint, {"level": "nowhere"})
    line = Line(kit, tmp_path, spec)

    async def script() -> None:
        await asyncio.sleep(0)

    with pytest.raises(Exception, match="The topic nowhere for the signal level"):
        line.run(script)


def test_a_look_tells_partitions_and_last_values_and_takes_nothing(
    kit: Kit, topic: str, broker: Any, tmp_path: Path
) -> None:
    talker = Talker(broker, topic)
    for row in range(3):
        talker.tell(payload(kit, row))
    line = Line(
        kit, tmp_path, source_spec(broker.endpoint, {"level": topic}, start="oldest")
    )

    async def script() -> None:
        await line.until(lambda: line.rows() == [0, 1, 2])
        seen = (await line.source.inspect()).tags[0]  # type: ignore[attr-defined]
        assert "JSON" in seen.kind
        assert "partition" in seen.kind
        assert seen.values == (2.0,)
        assert seen.quality == "good"
        await aside(talker.tell, payload(kit, 3))
        await line.until(lambda: line.rows() == [0, 1, 2, 3])

    line.run(script)

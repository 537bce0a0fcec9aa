"""Laws of the Kafka sink: at least once, under the same key, whatever the brokers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from tests.line import kafka_plant, stalls
from tests.line.kafka_plant import (
    KafkaCable,
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

from tundish.line import plugins
from tundish.line.errors import NodeMissingError, SinkRefusedError
from tundish.line.kafkaoptions import KafkaAccount, KafkaOptions
from tundish.line.kafkasender import KafkaSender, SenderLostError

Kit = Any
pytestmark = pytest.mark.integration
QUICK = KafkaOptions(timeout_s=1.0, retry_first_s=0.05, retry_max_s=0.2, most_kb=64)


@pytest.fixture
def broker() -> Iterator[Mock]:
    with running(Mock()) as one:
        for topic in ("level", "answer", "state"):
            one.create(topic)
        yield one


def _sender(endpoint: str) -> KafkaSender:
    return KafkaSender(KafkaAccount(endpoint, None, QUICK, "The sink", []), ["answer"])


def test_answers_wait_while_the_cable_is_out_and_come_under_their_ids(
    kit: Kit, broker: Mock, tmp_path: Path
) -> None:
    with KafkaCable(broker) as cable:
        line = Line(
            kit, tmp_path, source_spec(broker.endpoint), sink_spec(cable.endpoint)
        )
        talker = Talker(broker, "level")

        async def script() -> None:
            for row in range(3):
                talker.tell(payload(kit, row))
            await line.until(lambda: line.engine.report().delivered == {"answers": 3})
            await aside(cable.cut)
            for row in range(3, 8):
                talker.tell(payload(kit, row))
            await line.until(lambda: line.rows() == list(range(8)))
            await line.until(lambda: "sink-lost" in line.kinds())
            await aside(cable.mend)
            await line.until(lambda: line.engine.report().delivered == {"answers": 8})

        line.run(script)
    heard = [one.split(b" ", 1) for one in hear(broker, "answer", 8)]
    times = sorted({json.loads(text)["time"] for _, text in heard})
    assert len(times) == 8
    assert all(json.loads(text)["id"] == key.decode() for key, text in heard)


def test_what_the_brokers_will_not_take_is_refused_and_the_next_is_sent(
    broker: Mock,
) -> None:
    async def job() -> None:
        sender = _sender(broker.endpoint)
        await sender.connect()
        with pytest.raises(SinkRefusedError, match="does not take a message"):
            await sender.publish("answer", "k", bytes(100_000))
        await sender.publish("answer", "k", b"small")
        await sender.close()
        with pytest.raises(SenderLostError):
            await sender.publish("answer", "k", b"late")

    asyncio.run(job())


def test_brokers_that_are_away_are_a_lost_link_within_the_limit(broker: Mock) -> None:
    async def job() -> None:
        sender = _sender(broker.endpoint)
        await sender.connect()
        broker.freeze()
        begin_s = asyncio.get_running_loop().time()
        async with stalls.watching() as stood:
            with pytest.raises(SenderLostError):
                await sender.publish("answer", "k", b"some")
            with pytest.raises(SenderLostError):
                await sender.connect()
            took_s = asyncio.get_running_loop().time() - begin_s - stood.total_s()
        assert took_s < 2 * 1.0 + 1.5
        broker.thaw()
        await sender.connect()
        await sender.publish("answer", "k", b"more")
        await sender.close()

    asyncio.run(job())


async def _at_last(sender: KafkaSender, body: bytes) -> None:
    """Send a message as a line does: again, until it is taken."""
    async with asyncio.timeout(40):
        while True:
            try:
                await sender.connect()
                await sender.publish("answer", "k", body)
            except (SenderLostError, NodeMissingError):
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.skipif(kafka_plant.TANSU_MISSING, reason="tansu is not installed")
def test_a_broker_that_forgot_our_numbers_is_taken_up_with_new_ones(
    tmp_path: Path,
) -> None:
    """The idempotent producer cannot go on then: another one takes its place."""

    async def job() -> None:
        with running(Tansu(tmp_path / "tansu")) as broker:
            broker.create("answer")
            sender = _sender(broker.endpoint)
            await sender.connect()
            for number in range(5):
                await _at_last(sender, b"%d" % number)
            await aside(broker.stop)
            await aside(broker.start)
            await aside(broker.create, "answer")
            await _at_last(sender, b"after")
            await sender.close()
            assert b"k after" in await aside(hear, broker, "answer", 1)

    asyncio.run(job())


def test_a_topic_that_is_not_there_is_told(broker: Mock, kit: Kit) -> None:
    spec = sink_spec(broker.endpoint).model_copy(update={"nodes": {"answer": "none"}})
    sink = plugins.open_sink(spec, kit.scenario())
    with pytest.raises(NodeMissingError, match="The topic none cannot be written"):
        asyncio.run(sink.connect())


def test_a_node_that_is_none_of_the_sinks_is_refused(kit: Kit) -> None:
    spec = sink_spec("kafka://h").model_copy(update={"nodes": {"alarm": "x"}})
    with pytest.raises(NodeMissingError, match="'alarm'"):
        plugins.open_sink(spec, kit.scenario())

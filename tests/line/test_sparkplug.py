"""Laws of the Sparkplug source and sink, against a real Mosquitto on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.line import mosquitto
from tests.line.mosquitto import Mosquitto, running
from tests.line.mqttline import QUICK, MqttLine, aside
from tests.line.proxy import Cable
from tests.line.sparkplugschema import RealPayload

from tundish.line import sparkplug
from tundish.line.linefile import SinkSpec, SourceSpec
from tundish.line.sparkplug import DOUBLE, Payload

Kit = Any  # the classes live in conftest, which cannot be imported

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed"),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running(tmp_path_factory.mktemp("broker")) as one:
        yield one


class Edge:
    """An edge node, published by Debian's client; ``level`` has the alias given."""

    def __init__(self, kit: Kit, broker: Mosquitto, name: str) -> None:
        self._kit, self._broker, self.name = kit, broker, name
        self.seq = 0

    def say(self, kind: str, *metrics: sparkplug.Metric) -> None:
        payload = Payload(
            time_ms=self._kit.START_US // 1000, seq=self.seq, metrics=metrics
        )
        self.seq = (self.seq + 1) % 256
        topic = f"spBv1.0/G/{kind}/{self.name}"
        self._broker.say(topic, sparkplug.encode(payload))

    def level(self, row: int, alias: int, name: str | None = None) -> sparkplug.Metric:
        time_ms = self._kit.sample(row).at_us // 1000
        kind = DOUBLE if name else 0
        made = sparkplug.metric(
            float(row), DOUBLE, name=name, alias=alias, time_ms=time_ms
        )
        return dataclasses.replace(made, kind=kind)

    def born(self, row: int, alias: int) -> None:
        self.seq = 0
        self.say("NBIRTH", self.level(row, alias, "level"))

    def data(self, row: int, alias: int) -> None:
        self.say("NDATA", self.level(row, alias))


class Ears:
    """Debian's client that hears one topic, message by message, from now on."""

    def __init__(self, broker: Mosquitto, topic: str) -> None:
        before = broker.subscribed(topic)
        self.heard: list[tuple[str, Any]] = []
        command = [
            "mosquitto_sub",
            "-p",
            str(broker.port),
            "-h",
            "127.0.0.1",
            "-q",
            "1",
        ]
        self._process = subprocess.Popen(
            [*command, "-t", topic, "-F", "%t %x"], stdout=subprocess.PIPE
        )
        end_s = time.monotonic() + 20
        while broker.subscribed(topic) == before:
            assert time.monotonic() < end_s, "it never listened"
            time.sleep(0.01)

    def next(self) -> tuple[str, Any]:
        assert self._process.stdout is not None
        topic, data = self._process.stdout.readline().decode().split()
        payload = bytes.fromhex(data)
        if "STATE" in topic:
            return topic, json.loads(payload)
        return topic, RealPayload.FromString(payload)

    async def until(
        self, kind: str, wanted: Callable[[Any], bool] = lambda payload: True
    ) -> Any:
        """Return the next message of a kind that is wanted."""
        while True:
            topic, payload = await aside(self.next)
            self.heard.append((topic, payload))
            if topic.split("/")[2] == kind and wanted(payload):
                return payload

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _source(endpoint: str, edge: str, **options: Any) -> SourceSpec:
    return SourceSpec(
        kind="sparkplug", endpoint=endpoint, nodes={"level": f"G/{edge}:level"},
        options=QUICK | {"rebirth_s": 0.2} | options,
    )  # fmt: skip


def test_a_missed_message_and_a_new_alias_are_mended_by_a_rebirth(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    edge, ears = Edge(kit, broker, "E1"), Ears(broker, "spBv1.0/G/NCMD/E1")
    line = MqttLine(kit, tmp_path, _source(broker.endpoint, "E1", host="tundish-1"))

    async def script() -> None:
        _, wish = await aside(ears.next)  # on the first connection
        assert wish.metrics[0].name == "Node Control/Rebirth"
        assert wish.metrics[0].boolean_value
        state = json.loads(
            (await aside(broker.hear, "spBv1.0/STATE/tundish-1", 1))[0].split(b" ", 1)[
                1
            ]
        )
        assert state["online"] is True
        await aside(edge.born, 0, 1)
        await aside(edge.data, 1, 1)
        await line.until(lambda: line.rows() == [0, 1])
        edge.seq += 1  # one message does not arrive
        await asyncio.sleep(0.3)
        await aside(edge.data, 2, 1)
        await aside(ears.next)  # asked again
        await line.until(lambda: line.states()[-1] == "bad")
        await aside(edge.born, 3, 7)
        await aside(edge.data, 4, 7)
        await line.until(lambda: line.rows() == [0, 1, 3, 4])

    try:
        report = line.run(script)
    finally:
        ears.close()
    assert report.table.value.tolist() == [0, 1, 3, 4]
    assert [g.signal for g in report.gaps] == ["level"]
    state = json.loads(broker.hear("spBv1.0/STATE/tundish-1", 1)[0].split(b" ", 1)[1])
    assert state["online"] is False


def test_a_death_and_bad_bytes_turn_the_line_bad_and_it_lives_on(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    edge = Edge(kit, broker, "E2")
    line = MqttLine(kit, tmp_path, _source(broker.endpoint, "E2"))

    async def script() -> None:
        await aside(edge.born, 0, 1)
        await line.until(lambda: line.rows() == [0])
        await aside(broker.say, "spBv1.0/G/NDATA/E2", b"\xff" * 40)
        await line.until(lambda: line.states()[-1] == "bad")
        await aside(edge.born, 1, 1)
        await line.until(lambda: line.rows() == [0, 1] and line.states()[-1] == "good")
        await aside(edge.say, "NDEATH")
        await line.until(lambda: line.states()[-1] == "bad")

    line.run(script)
    assert "the edge node G/E2 is dead" in line.texts("state")[-1]


def _sink(endpoint: str, edge: str, **options: Any) -> SinkSpec:
    nodes = {
        "estimate": "Glucose/Value", "lower": "Glucose/Lower", "state": "Line/State",
        "quality": "Glucose/Quality",
    }  # fmt: skip
    return SinkSpec(
        kind="sparkplug", name="edge", endpoint=endpoint, nodes=nodes,
        options=QUICK | {"edge": f"G/{edge}"} | options,
    )  # fmt: skip


def _named(payload: Any) -> dict[str, Any]:
    return {metric.name: metric for metric in payload.metrics}


@pytest.mark.parametrize(("historical_s", "old"), [(60.0, True), (1e10, False)])
def test_the_line_is_an_edge_node_with_birth_sequence_and_aliases(
    kit: Kit, broker: Mosquitto, tmp_path: Path, historical_s: float, old: bool
) -> None:
    """The values are of 2020: history, unless the sink says that nothing is."""
    name = f"E3{old}"
    edge, ears = Edge(kit, broker, name), Ears(broker, f"spBv1.0/G/+/OUT{old}")
    sink = _sink(broker.endpoint, f"OUT{old}", historical_s=historical_s)
    line = MqttLine(kit, tmp_path, _source(broker.endpoint, name), sink)

    async def script() -> None:
        birth = await ears.until("NBIRTH")
        value = _named(birth)["Glucose/Value"]
        assert (value.datatype, value.is_null) == (DOUBLE, True)
        aliases = {m.alias: m.name for m in birth.metrics if m.HasField("alias")}
        await aside(edge.born, 0, 1)
        answer = await ears.until(
            "NDATA",
            lambda payload: any(
                aliases[m.alias] == "Glucose/Value" and not m.is_null
                for m in payload.metrics
            ),
        )
        said = {aliases[m.alias]: m for m in answer.metrics}
        assert said["Glucose/Value"].double_value == 0.0
        assert said["Glucose/Value"].properties.values[0].int_value == 192
        assert said["Glucose/Value"].timestamp == kit.START_US // 1000
        assert said["Glucose/Value"].is_historical is old
        assert said["Glucose/Quality"].string_value == "good"
        seqs = [payload.seq for _, payload in ears.heard]
        assert seqs == list(range(len(seqs)))

    try:
        line.run(script)
    finally:
        ears.close()


def test_an_edge_node_is_born_again_when_asked_and_dies_when_the_line_does(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    edge, ears = Edge(kit, broker, "E5"), Ears(broker, "spBv1.0/G/+/OUT5")
    with Cable(broker.port) as cable:
        sink = _sink(f"mqtt://127.0.0.1:{cable.port}", "OUT5")
        line = MqttLine(kit, tmp_path, _source(broker.endpoint, "E5"), sink)

        async def script() -> None:
            assert _named(await ears.until("NBIRTH"))["bdSeq"].long_value == 0
            await aside(edge.born, 3, 1)
            await line.until(lambda: line.engine.report().delivered == {"edge": 1})
            wish = sparkplug.metric(
                True, sparkplug.BOOLEAN, name="Node Control/Rebirth"
            )
            data = sparkplug.encode(Payload(metrics=(wish,)))
            await aside(broker.say, "spBv1.0/G/NCMD/OUT5", data)
            again = _named(await ears.until("NBIRTH"))
            assert again["Glucose/Value"].double_value == 3.0
            await aside(cable.cut)
            assert (await ears.until("NDEATH")).metrics[0].long_value == 0
            await aside(cable.mend)
            birth = await ears.until("NBIRTH")
            assert _named(birth)["bdSeq"].long_value >= 1

        try:
            line.run(script)
        finally:
            ears.close()


def test_nothing_goes_out_while_the_primary_host_is_away(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    topic = "spBv1.0/STATE/scada"
    broker.say(topic, '{"online":true,"timestamp":1}', "-r")
    edge = Edge(kit, broker, "E4")
    line = MqttLine(
        kit, tmp_path, _source(broker.endpoint, "E4"),
        _sink(broker.endpoint, "OUT4", host="scada"),
    )  # fmt: skip

    def delivered() -> int:
        return line.engine.report().delivered["edge"]

    async def script() -> None:
        await aside(edge.born, 0, 1)
        await line.until(lambda: delivered() == 1)
        await aside(broker.say, topic, '{"online":false,"timestamp":2}', "-r")
        await line.until(lambda: "sink-lost" in line.kinds())  # at the next word
        assert "scada is not online" in line.texts("sink-lost")[0]
        await aside(edge.data, 1, 1)
        await line.until(lambda: line.rows() == [0, 1])
        assert delivered() == 1
        await aside(broker.say, topic, '{"online":true,"timestamp":3}', "-r")
        await line.until(lambda: delivered() == 2)

    line.run(script)

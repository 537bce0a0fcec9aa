"""Laws of the dry run on MQTT, Sparkplug, Modbus and files: it sees what is there and disturbs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.line import mosquitto
from tests.line.modbus_plant import ModbusPlant
from tests.line.mosquitto import Mosquitto, running
from tests.line.mqtt_plant import MqttPlant
from tests.line.mqttline import MqttLine, aside, payload, source_spec

from tundish.line import plugins
from tundish.line.dryrun import judge_input
from tundish.line.errors import SourceUnreachableError
from tundish.line.inspection import Inspection, Inspects
from tundish.line.linefile import NodeSpec, SourceSpec

Kit = Any
pytestmark = pytest.mark.integration
needs_broker = pytest.mark.skipif(
    mosquitto.MISSING, reason="mosquitto is not installed"
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(tmp_path / "broker") as one:
        yield one


def _looked(kit: Kit, spec: SourceSpec) -> Inspection:
    scenario = kit.scenario(periods=dict.fromkeys(spec.nodes, 10.0))
    source = plugins.open_source(spec, scenario)
    assert isinstance(source, Inspects)
    return asyncio.run(source.inspect())


@needs_broker
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_each_topic_says_what_came_on_it(
    kit: Kit, broker: Mosquitto, version: str
) -> None:
    broker.say("a/kept", payload(kit, 3), "-r")
    broker.say("a/text", payload(kit, 3, "3"), "-r")
    nodes = {"kept": "a/kept", "text": "a/text", "silent": "a/silent"}
    found = _looked(kit, source_spec(broker.endpoint, nodes, version=version))
    kept, text, silent = found.tags
    assert (kept.kind, kept.values, kept.quality) == ("JSON, retained", (3.0,), "good")
    assert text.values == ()
    assert "a text, expected a number" in text.reason
    assert "nothing came within 3 s" in silent.reason
    signal = kit.scenario().signals[0]
    spec = NodeSpec(node="a")
    verdicts = [
        judge_input("b", signal, spec, one, lambda *_: (1.0, 0.0), 1e12).verdict
        for one in found.tags
    ]
    assert verdicts == ["good", "doubt", "doubt"]


@needs_broker
def test_a_dry_run_takes_no_session_from_a_running_line(
    kit: Kit, broker: Mosquitto, tmp_path: Path
) -> None:
    spec = source_spec(broker.endpoint, {"level": "a/level"}, client_id="running")
    line = MqttLine(kit, tmp_path, spec)

    async def script() -> None:
        await aside(broker.say, "a/level", payload(kit, 0))
        await line.until(lambda: line.rows() == [0])
        before = broker.subscribed("a/level")
        looking = asyncio.create_task(
            plugins.open_source(spec, line.scenario).inspect()  # type: ignore[attr-defined]
        )
        await line.until(lambda: broker.subscribed("a/level") > before)
        await aside(broker.say, "a/level", payload(kit, 1))
        found = await looking
        assert found.tags[0].values == (1.0,)
        assert found.tags[0].kind == "JSON"
        await line.until(lambda: line.rows() == [0, 1])

    line.run(script)
    assert "link-lost" not in line.kinds()


def test_each_register_is_read_once_and_one_that_is_not_there_is_named(
    kit: Kit,
) -> None:
    pytest.importorskip("pymodbus")
    nodes: dict[str, str | NodeSpec] = {"level": "holding:7", "far": "holding:9000"}
    with ModbusPlant() as plant:
        spec = SourceSpec(
            kind="modbus", endpoint=f"modbus://127.0.0.1:{plant.port}", nodes=nodes
        )
        found = {tag.name: tag for tag in _looked(kit, spec).tags}
    assert (found["level"].values, found["level"].problem) == ((7.0,), "")
    assert "no such register" in found["far"].problem
    with pytest.raises((ConnectionError, SourceUnreachableError)):
        _looked(kit, spec)


@needs_broker
def test_a_dry_run_hears_births_and_asks_for_none(kit: Kit, broker: Mosquitto) -> None:
    spec = SourceSpec(
        kind="sparkplug", endpoint=broker.endpoint, nodes={"level": "G/E:level"}
    )
    scenario = kit.scenario()

    async def job(plant: MqttPlant, *, born: bool) -> Inspection:
        source = plugins.open_source(spec, scenario)
        before = broker.subscribed("spBv1.0/G/NBIRTH/E")
        looking = asyncio.create_task(source.inspect())  # type: ignore[attr-defined]
        await kit.eventually(lambda: broker.subscribed("spBv1.0/G/NBIRTH/E") > before)
        if born:
            plant.rebirth(alias=9)
        found = await looking
        assert isinstance(found, Inspection)
        return found

    async def born() -> None:
        await kit.eventually(lambda: bool(broker.logged("'spBv1.0/G/NBIRTH/E'")))

    with MqttPlant(broker.port, "E", sparkplug=True) as plant:
        asyncio.run(born())
        before = asyncio.run(job(plant, born=False)).tags[0]
        assert plant.births == 1, "the dry run asked for a birth"
        assert "has sent no birth" in before.reason
        after = asyncio.run(job(plant, born=True)).tags[0]
    assert (after.kind, after.quality) == ("Double", "good")
    assert len(after.values) == 1


def test_a_dry_run_reads_the_newest_file_and_moves_none(
    kit: Kit, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    nodes: dict[str, str | NodeSpec] = {"level": "L1", "far": "L2"}
    spec = SourceSpec(
        kind="files", endpoint=f"file://{folder}", nodes=nodes,
        options={"pattern": "*.csv"},
    )  # fmt: skip
    assert "no file here fits '*.csv'" in _looked(kit, spec).tags[0].reason
    (folder / "one.csv").write_text("time,L1,L2\n2026-01-01T00:00:00Z,4,x\n")
    level, far = _looked(kit, spec).tags
    assert (level.values, level.quality) == ((4.0,), "good")
    assert (far.values, far.reason) == ((), "no number in 'L2'")
    (folder / "one.csv").write_text("time,L1\n2026-01-01T00:00:00Z,4\n")
    assert "it has no column 'L2'" in _looked(kit, spec).tags[0].problem
    assert [one.name for one in folder.iterdir()] == ["one.csv"]
    folder.rename(tmp_path / "away")
    with pytest.raises(SourceUnreachableError, match="cannot be used"):
        _looked(kit, spec)

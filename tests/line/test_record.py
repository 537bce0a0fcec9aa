"""Laws of a recording: what the plant said is what the data set holds, and it is graded."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from asyncua import ua as typed_ua
from asyncua.server.server import Server
from tests.line import mosquitto
from tests.line.http_plant import TOKEN, Device, Gateway
from tests.line.mosquitto import running
from tests.line.mqtt_plant import MqttPlant
from tests.ports import free_port
from typer.testing import CliRunner

from tundish.catalog.documents import read_document
from tundish.catalog.site import SiteProfile
from tundish.cli.main import app
from tundish.data.binding import bind
from tundish.data.card.card import read_card
from tundish.flows.alarms import answer_alarm, labels
from tundish.flows.errors import NothingRecordedError, OutExistsError
from tundish.flows.ledger import list_ledger
from tundish.flows.record import RecordOptions, record_line, seconds_of
from tundish.flows.workspace import Workspace, create
from tundish.kernel import canonical
from tundish.line import plugins
from tundish.line.buffer import LineBuffer
from tundish.line.contract import Contract, ListedSignal, SignalList
from tundish.line.errors import HistoryUnavailableError
from tundish.line.events import Event
from tundish.line.kept import to_batch, to_columns
from tundish.line.linefile import SinkSpec
from tundish.line.recorded import SignalRecord, join
from tundish.line.recorder import Recorder, RecorderParts
from tundish.line.rows import Aligner
from tundish.line.samples import Sample
from tundish.line.sinks.archive import ArchiveSink

Kit = Any  # the class lives in conftest, which cannot be imported
ua: Any = typed_ua  # asyncua exports its status codes only in fact
START = datetime(2026, 3, 1, tzinfo=UTC)
NODES = {"temp": 2.5, "running": True, "grade": "A36", "level": 7.0}


class Plant:
    """An asyncua server whose tags change ten times a second; used as a context."""

    def __init__(self) -> None:
        self.rows = 0
        self._ready = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.endpoint = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _run(self) -> None:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0")
        nodes = {
            name: await server.nodes.objects.add_variable(f"ns=2;s={name}", name, value)
            for name, value in NODES.items()
        }
        async with server:
            listening: Any = server.bserver
            port = listening._server.sockets[0].getsockname()[1]
            self.endpoint = f"opc.tcp://127.0.0.1:{port}"
            self._ready.set()
            while not self._over.is_set():
                await self._say(nodes)
                await asyncio.sleep(0.05)

    async def _say(self, nodes: dict[str, Any]) -> None:
        row = self.rows
        at = START + timedelta(seconds=row)
        status = ua.StatusCodes.Good
        if row % 10 == 3:
            status = ua.StatusCodes.UncertainLastUsableValue
        if row % 10 == 4:
            status = ua.StatusCodes.BadSensorFailure
        values = {
            "temp": float(row % 37), "running": row % 2 == 0,
            "grade": f"A{row % 3}", "level": 100.0 - row % 11,
        }  # fmt: skip
        for name, value in values.items():
            code = status if name == "temp" else ua.StatusCodes.Good
            said = ua.DataValue(
                ua.Variant(value),
                StatusCode=ua.StatusCode(code),
                SourceTimestamp=at,
            )
            await nodes[name].write_value(said)
        self.rows += 1


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as one:
        yield one


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "ws")


def _line(folder: Path, endpoint: str, **changes: Any) -> Path:
    line: dict[str, Any] = {
        "format": "tundish.line", "version": 1, "name": "mill",
        "sources": [
            {"kind": "opcua", "endpoint": endpoint,
             "nodes": {name: f"ns=2;s={name}" for name in NODES},
             "options": {"publishing_ms": 50}}
        ],
        "buffer": {"path": "unused.db", "durability": "process"},
        "signals": {"temp": {"unit": "degC", "period_s": 1.0}, "level": {"unit": "%"}},
    }  # fmt: skip
    path = folder / "mill.line.yaml"
    path.write_bytes(canonical.dumps(line | changes))
    return path


@pytest.mark.integration
def test_what_opc_ua_said_is_recorded_as_it_was_and_graded_at_once(
    plant: Plant, workspace: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    line = _line(tmp_path, plant.endpoint)
    report = record_line(workspace, line, out, RecordOptions(rows=240, seconds=60))
    frame = pd.read_parquet(out / "samples.parquet")
    assert len(frame) == report.samples >= 240
    assert not frame.duplicated(["signal", "time"]).any()
    for name, rows in frame.groupby("signal", observed=True):
        steps = (rows["time"] - START).dt.total_seconds().to_numpy()
        known = steps[1:] if abs(steps[0]) > 1e6 else steps  # set before the plant ran
        assert (known == sorted(known)).all(), name
    temp = frame[frame["signal"] == "temp"].iloc[1:]
    row: Any = (temp["time"] - START).dt.total_seconds().astype(int)
    good, unsure, bad = row % 10 != 3, row % 10 == 3, row % 10 == 4
    plain = good & ~bad
    assert (temp["value"][plain] == (row % 37)[plain]).all()
    assert set(temp["status"][plain]) == {0}
    assert set(temp["status"][unsure]) == {ua.StatusCodes.UncertainLastUsableValue}
    assert set(temp["quality"][unsure]) == {"uncertain"}
    assert set(temp["status"][bad]) == {ua.StatusCodes.BadSensorFailure}
    assert temp["value"][bad].isna().all()
    truth = frame[frame["signal"] == "running"].iloc[1:]
    seconds = (truth["time"] - START).dt.total_seconds().astype(int)
    assert (truth["boolean"].astype(bool) == (seconds % 2 == 0)).all()
    words = frame[frame["signal"] == "grade"].iloc[1:]
    seconds = (words["time"] - START).dt.total_seconds().astype(int)
    assert (words["text"] == [f"A{n % 3}" for n in seconds]).all()
    card = read_card(out / "card.yaml")
    assert card.missing_data is not None
    assert "0x80" in card.missing_data
    units = {note.name: note.unit for note in card.fields}
    assert units == {"temp": "degC", "level": "%", "running": None, "grade": None}
    assert sorted(path.name for path in out.iterdir()) == [
        "card.yaml",
        "samples.parquet",
    ]
    acts = [entry.act for _, entry in list_ledger(workspace)]
    assert acts[-1] == "line-recorded"
    _graded(out, {"temp", "level", "running", "grade"})


def _graded(out: Path, names: set[str]) -> None:
    result = CliRunner().invoke(app, ["grade", str(out), "--quick", "--json"])
    assert result.exit_code in {0, 1}, result.output
    grade = json.loads(result.stdout)
    text = json.dumps(grade)
    assert grade["letter"] in set("ABCD")
    assert all(name in text for name in names)
    assert "long form of a historian" in text


@pytest.mark.integration
@pytest.mark.slow
def test_a_recording_that_was_killed_goes_on_in_the_same_folder(
    plant: Plant, workspace: Workspace, tmp_path: Path
) -> None:
    out, line = tmp_path / "set", _line(tmp_path, plant.endpoint)
    command = [
        sys.executable, "-m", "tundish", "line", "record", str(line), "--out", str(out),
        "--for", "60s", "--workspace", str(workspace.root),
    ]  # fmt: skip
    ended, said, wrong = 1, "", ""
    for kill in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            place = out / ".recording" / "buffer.db-wal"
            begun, end = time.time(), time.monotonic() + 60
            while time.monotonic() < end and not (
                place.exists() and place.stat().st_mtime > begun
            ):
                time.sleep(0.05)
            time.sleep(1.0)
            child.send_signal(kill)
            said, wrong = child.communicate(timeout=60)
            ended = child.returncode
    assert ended == 0, wrong
    assert "tundish grade" in " ".join(said.split())
    frame = pd.read_parquet(out / "samples.parquet")
    assert not frame.duplicated(["signal", "time"]).any()
    assert len(frame) > 60
    assert not (out / ".recording").exists()


@pytest.mark.integration
@pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed")
def test_what_mqtt_said_is_recorded_row_by_row(
    workspace: Workspace, tmp_path: Path
) -> None:
    broker_folder = tmp_path / "broker"
    broker_folder.mkdir()
    with running(broker_folder) as broker, MqttPlant(broker.port) as device:
        source = {
            "kind": "mqtt", "endpoint": f"mqtt://127.0.0.1:{broker.port}",
            "nodes": {"level": {"node": "plant/level", "options": {
                "value": "v", "time": "t", "time_unit": "us"}}},
        }  # fmt: skip
        line = _line(
            tmp_path, "", sources=[source],
            signals={"level": {"period_s": device.period_us / 1e6}},
        )  # fmt: skip
        report = record_line(
            workspace, line, tmp_path / "set", RecordOptions(rows=60, seconds=30)
        )
        start_us, period_us = device.start_us, device.period_us
    frame = pd.read_parquet(tmp_path / "set" / "samples.parquet")
    at_us = frame["time"].astype("int64")
    row = (at_us - start_us) // period_us
    assert report.samples >= 60
    assert (row.diff().iloc[1:] == 1).all()
    assert (frame["value"] == row % 900).all()
    assert report.gaps == ()


def test_every_kind_of_source_takes_any_contract() -> None:
    """A recording has no scenario: a kind that asks for one ends in a traceback."""
    points = [point for point in plugins._BUILT_IN if point.group == plugins.SOURCES]
    assert len(points) >= 7
    for kind in (point.load() for point in points):
        assert typing.get_type_hints(kind.from_spec)["scenario"] is Contract, kind


def test_what_a_gateway_answers_over_http_is_recorded_row_by_row(
    workspace: Workspace, tmp_path: Path
) -> None:
    with Gateway() as gateway:
        source = {
            "kind": "http", "endpoint": f"http://127.0.0.1:{gateway.port}/values",
            "options": {"period_s": 0.2, "rows": "rows", "time": "t", "time_unit": "us"},
            "nodes": {
                "level": {"node": "v"},
                "word": {"node": "q"},
            },
        }  # fmt: skip
        line = _line(
            tmp_path, "", sources=[source],
            signals={"level": {"period_s": gateway.period_us / 1e6}},
        )  # fmt: skip
        report = record_line(
            workspace, line, tmp_path / "set", RecordOptions(rows=60, seconds=30)
        )
        start_us, period_us = gateway.start_us, gateway.period_us
    frame = pd.read_parquet(tmp_path / "set" / "samples.parquet")
    level, word = (frame[frame["signal"] == name] for name in ("level", "word"))
    row = (level["time"].astype("int64") - start_us) // period_us
    assert report.samples >= 60
    assert (row.diff().iloc[1:] == 1).all()
    assert (level["value"] == row % 900).all()
    assert {*word["text"]} == {"good"}


def test_what_is_posted_and_acknowledged_is_in_the_recording(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    source = {
        "kind": "http-receive", "endpoint": f"http://127.0.0.1:{port}/rows",
        "options": {"time": "t", "time_unit": "us", "rate": 9999.0}, "nodes": {"level": {"node": "v"}},
        "security": {"token": {"file": str(tmp_path / "token")}},
    }  # fmt: skip
    line = _line(tmp_path, "", sources=[source], signals={})
    with Device(port) as device:
        record_line(
            workspace, line, tmp_path / "set", RecordOptions(rows=30, seconds=30)
        )
    frame = pd.read_parquet(tmp_path / "set" / "samples.parquet")
    at_us = frame["time"].astype("int64")
    kept = ((at_us - device.start_us) // device.period_us).tolist()
    assert len(kept) >= 30
    assert len({*kept}) == len(kept)
    assert {*device.acknowledged} <= {*kept}


def test_a_folder_that_is_taken_and_a_plant_that_is_silent_are_said(
    plant: Plant, workspace: Workspace, tmp_path: Path
) -> None:
    line = _line(tmp_path, plant.endpoint)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.csv").write_text("a\n1\n")
    with pytest.raises(OutExistsError):
        record_line(workspace, line, taken)
    empty = tmp_path / "inbox"
    empty.mkdir()
    source = {"kind": "files", "endpoint": f"file://{empty}", "nodes": {"a": "a"}}
    silent = _line(tmp_path, "", sources=[source], signals={})
    with pytest.raises(NothingRecordedError):
        record_line(workspace, silent, tmp_path / "none", RecordOptions(seconds=0.3))
    assert (taken / "mine.csv").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30min", 1800), ("1.5 h", 5400), ("2d", 172800)]
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_a_recording_is_lined_up_as_the_line_lines_it_up(
    tmp_path: Path, kit: Kit
) -> None:
    periods = {"fast": 1.0, "slow": 4.0}
    scenario = kit.scenario(periods=periods)
    rng = np.random.default_rng(5)
    samples = _two_clocks(rng, kit.START_US)
    aligner = Aligner(scenario)
    aligner.add(samples)
    rows = aligner.take(until_us=None, waited_until_us=2**62, limit=10_000)
    _write_set(tmp_path, samples, plugins.widths_of(scenario), scenario)
    data = bind(_site(str(scenario.key)), scenario, tmp_path)
    bound = data.tables["all"]
    assert bound.us is not None
    assert bound.us.tolist() == [row.at_us for row in rows]
    expected = np.array([row.values for row in rows])
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(bound.channels.astype(np.float32), expected)


def test_answers_to_alarms_become_labels_of_a_recorded_set(
    workspace: Workspace, tmp_path: Path, kit: Kit
) -> None:
    scenario = kit.scenario(periods={"fast": 1.0, "slow": 4.0})
    samples = _two_clocks(np.random.default_rng(6), kit.START_US)
    folder = tmp_path / "set"
    folder.mkdir()
    _write_set(folder, samples, plugins.widths_of(scenario), scenario)
    source = {
        "kind": "files",
        "endpoint": "file:in",
        "nodes": {"fast": "a", "slow": "b"},
    }
    line = _line(tmp_path, "", sources=[source], signals={})
    site, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    site.write_bytes(canonical.dumps(_site(str(scenario.key)).to_json()))
    first, last = "2020-01-01T00:01:00Z", "2020-01-01T00:01:30Z"
    for act in ("line-alarm", "line-alarm-over"):
        detail: dict[str, Any] = {
            "line": "mill",
            "from": first,
            "to": last,
            "answers": 30,
            "because": "",
        }
        workspace.record(act, detail=detail)
    answer_alarm(workspace, line, "right", first)
    assert labels(workspace, line, site, new).added == 1
    data = bind(read_document(new, SiteProfile), scenario, folder)
    (event,) = data.events
    us = data.tables["all"].us
    assert us is not None
    inside = (us >= event.start_us) & (us <= event.end_us)
    assert 20 <= int(inside.sum()) <= 31  # the label lies on rows that were recorded


def _two_clocks(rng: np.random.Generator, start_us: int) -> list[Sample]:
    """Return samples of two tags with clocks of their own, some bad, some missing."""
    samples = []
    for name, period_us, shift_us in (("fast", 10**6, 0), ("slow", 4 * 10**6, 700_000)):
        for row in range(200 * 10**6 // period_us):
            if rng.random() < 0.1:
                continue
            bad = name == "fast" and rng.random() < 0.1
            samples.append(
                Sample(
                    name,
                    start_us + row * period_us + shift_us,
                    "bad" if bad else "good",
                    None if bad else rng.normal(size=1),
                )
            )
    return sorted(samples, key=lambda sample: sample.at_us or 0)


def _site(key: str) -> SiteProfile:
    return SiteProfile.model_validate(
        {
            "format": "tundish.site", "version": 1, "scenario": key, "site": "here",
            "tables": {"all": {"file": "samples.parquet", "time_column": "time"}},
            "tags": {"fast": {"column": "fast"}, "slow": {"column": "slow"}},
            "uses": [{"part": "fit", "table": "all"}],
        },
        strict=False,
    )  # fmt: skip


def _write_set(
    folder: Path, samples: list[Sample], widths: dict[str, int], scenario: Any
) -> None:
    batch = to_batch(samples, {name: n for n, name in enumerate(widths)}, 0, 0)
    columns = to_columns([batch], tuple(widths), tuple(widths.values()))
    spec = SinkSpec(kind="archive", name="samples", endpoint=f"file://{folder}/.parts")
    sink = ArchiveSink(spec, scenario)

    async def job() -> None:
        await sink.connect()
        await sink.write_part(columns)

    asyncio.run(job())
    join(sorted((folder / ".parts").glob("*.parquet")), folder / "samples.parquet")


@pytest.mark.parametrize("has_history", [True, False])
def test_a_lost_link_is_filled_from_history_or_is_a_gap(
    tmp_path: Path, kit: Kit, *, has_history: bool
) -> None:
    source = kit.ScriptedSource()
    contract = SignalList(key="one", signals=(ListedSignal(name="level"),))
    spec = SinkSpec(kind="archive", name="samples", endpoint=f"file://{tmp_path}/kept")
    source.history["level"] = [kit.sample(row) for row in range(20)]
    if not has_history:
        source.history_error = HistoryUnavailableError("the server keeps none")
    told: list[Event] = []

    async def job() -> None:
        widths = plugins.widths_of(contract)
        with LineBuffer(tmp_path / "b.db", scenario="one", signals=widths) as buffer:
            parts = RecorderParts(
                contract=contract,
                sources=(source,),
                buffer=buffer,
                archive=ArchiveSink(spec, contract),
            )
            recorder = Recorder(parts, backfill_max_s=1e9, on_event=told.append)
            stop = asyncio.Event()
            run = asyncio.create_task(recorder.run(stop))
            for row in range(5):
                source.give(kit.sample(row))
            source.link(up=False)
            source.link(up=True)
            source.give(kit.sample(15))
            wanted = 16 if has_history else 6
            await kit.eventually(lambda: recorder.taken >= wanted)
            if not has_history:
                await kit.eventually(lambda: bool(recorder.gaps()))
            source.give(kit.sample(15), kit.sample(19))
            await kit.eventually(
                lambda: kit.sample(19).at_us == buffer.newest_us("level")
            )
            stop.set()
            await run
            gaps = recorder.gaps()
        if has_history:
            assert gaps == []
        else:
            first, last = kit.sample(4).at_us, kit.sample(15).at_us
            assert [(gap.from_us, gap.to_us) for gap in gaps] == [(first, last)]

    asyncio.run(job())
    frame = pd.concat(
        map(pd.read_parquet, sorted((tmp_path / "kept").glob("*.parquet")))
    )
    rows = [*range(20)] if has_history else [*range(5), 15, 19]
    assert sorted(frame["value"]) == rows
    assert "link-lost" in {event.kind for event in told}


def test_a_step_of_more_than_one_and_a_half_periods_is_a_gap() -> None:
    parts = [np.array([0, 2_900_000], np.int64), np.array([1_400_000, 4_401_000])]
    (gap,) = SignalRecord(name="level", times=parts).gaps(1.0)
    assert (gap.from_us, gap.to_us) == (2_900_000, 4_401_000)

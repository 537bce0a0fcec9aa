"""Sources and sinks by kind, through entry points; the built-in ones alike.

Entry points are the only dynamic import of the line. The built-in kinds stand here
as well, in the same form, so that they are found in a source tree that was never
installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from tundish.catalog.scenario import Scenario
from tundish.line.buffer import LineBuffer
from tundish.line.contract import Contract
from tundish.line.errors import LineFileInvalidError, LinePluginMissingError
from tundish.line.linefile import LineFile, SinkSpec, SourceSpec, check_signals
from tundish.line.sinks.protocol import (
    RequestSink,
    RequestSinkKind,
    SampleSink,
    SampleSinkKind,
    Sink,
    SinkKind,
)
from tundish.line.sources.protocol import Source, SourceKind

_EXTRAS = {"kafka": "kafka", "archive": "archive"}  # all others are of the extra line
SOURCES = "tundish.sources"
SINKS = "tundish.sinks"
REQUESTS = "tundish.requests"
ARCHIVES = "tundish.archives"

_BUILT_IN = (
    EntryPoint("opcua", "tundish.line.sources.opcua:OpcUaSource", SOURCES),
    EntryPoint("files", "tundish.line.sources.files:FilesSource", SOURCES),
    EntryPoint("modbus", "tundish.line.sources.modbus:ModbusSource", SOURCES),
    EntryPoint("http", "tundish.line.sources.http:HttpSource", SOURCES),
    EntryPoint("http-receive", "tundish.line.sources.httpreceive:HttpReceive", SOURCES),
    EntryPoint("csv", "tundish.line.sinks.journal:JournalSink", SINKS),
    EntryPoint("jsonl", "tundish.line.sinks.journal:JournalSink", SINKS),
    EntryPoint("metrics", "tundish.line.sinks.metrics:MetricsSink", SINKS),
    EntryPoint("webhook", "tundish.line.sinks.webhook:WebhookSink", SINKS),
    EntryPoint("opcua", "tundish.line.sinks.opcua:OpcUaSink", SINKS),
    EntryPoint("opcua", "tundish.line.sinks.opcua:OpcUaRequests", REQUESTS),
    EntryPoint("archive", "tundish.line.sinks.archive:ArchiveSink", ARCHIVES),
    EntryPoint("mqtt", "tundish.line.sources.mqtt:MqttSource", SOURCES),
    EntryPoint("mqtt", "tundish.line.sinks.mqtt:MqttSink", SINKS),
    EntryPoint("kafka", "tundish.line.sources.kafka:KafkaSource", SOURCES),
    EntryPoint("kafka", "tundish.line.sinks.kafka:KafkaSink", SINKS),
    EntryPoint("sparkplug", "tundish.line.sources.sparkplug:SparkplugSource", SOURCES),
    EntryPoint("sparkplug", "tundish.line.sinks.sparkplug:SparkplugSink", SINKS),
)


def open_source(spec: SourceSpec, scenario: Contract) -> Source:
    """Make a source; connects to nothing yet.

    Raises:
        LinePluginMissingError: if nothing installed offers this kind.
        DocumentInvalidError: if its options are wrong; names the key.
    """
    return cast("SourceKind", _load(SOURCES, spec.kind)).from_spec(spec, scenario)


def open_sink(spec: SinkSpec, scenario: Scenario) -> Sink:
    """Make a sink; connects to nothing yet. Raises as ``open_source``."""
    if not spec.nodes:
        msg = f"The sink {spec.name} names no nodes, so nothing would be written."
        raise LineFileInvalidError(msg)
    return cast("SinkKind", _load(SINKS, spec.kind)).from_spec(spec, scenario)


def open_requests(spec: SinkSpec, scenario: Scenario) -> RequestSink:
    """Make what writes requests; connects to nothing yet. Raises as ``open_source``."""
    return cast("RequestSinkKind", _load(REQUESTS, spec.kind)).from_spec(spec, scenario)


def open_sources(line: LineFile, scenario: Scenario) -> tuple[Source, ...]:
    """Make all sources of a line.

    Raises:
        LineFileInvalidError: if the signals do not fit the contract.
        LinePluginMissingError, DocumentInvalidError.
    """
    check_signals(line, scenario)
    return tuple(open_source(spec, scenario) for spec in line.sources)


def open_sinks(line: LineFile, scenario: Scenario) -> tuple[Sink, ...]:
    """Make all sinks of a line that take answers. Raises as ``open_source``."""
    return tuple(
        open_sink(spec, scenario) for spec in line.sinks if not is_archive(spec)
    )


def is_archive(spec: SinkSpec) -> bool:
    """Tell whether a sink takes samples instead of answers."""
    return spec.kind in kinds(ARCHIVES) and spec.kind not in kinds(SINKS)


def open_archive(
    line: LineFile, contract: Contract, about: Mapping[str, str]
) -> SampleSink | None:
    """Make the archive of a line, if it has one; touches nothing yet.

    Args:
        line: The line file.
        contract: Whose signals they are.
        about: What every part of the archive says of itself.

    Raises:
        LineFileInvalidError: if it has two.
        LinePluginMissingError, DocumentInvalidError.
    """
    found = [spec for spec in line.sinks if is_archive(spec)]
    if len(found) > 1:
        names = " and ".join(spec.name for spec in found[:2])
        msg = f"The line {line.name} has the archives {names}, expected at most one."
        raise LineFileInvalidError(msg)
    if not found:
        return None
    kind = cast("SampleSinkKind", _load(ARCHIVES, found[0].kind))
    return kind.from_spec(found[0], contract, about)


def open_buffer(line: LineFile, scenario: Scenario, folder: Path) -> LineBuffer:
    """Open the buffer of a line.

    Args:
        line: The line file.
        scenario: The contract.
        folder: Where relative paths start: the line file's folder.

    Raises:
        BufferLockedError, BufferUnreadableError, BufferOfOtherLineError,
        DiskFullError.
    """
    return LineBuffer(
        folder / line.buffer.path,
        scenario=scenario.key,
        signals=widths_of(scenario),
        max_rows=line.buffer.max_rows(scenario),
        durability=line.buffer.durability,
    )


def widths_of(contract: Contract) -> dict[str, int]:
    """Return the channels of each signal, in order."""
    return {signal.name: signal.channels for signal in contract.signals}


def kinds(group: str) -> list[str]:
    """Return the kinds that are installed in a group of entry points."""
    return sorted({point.name for point in _points(group)})


def _points(group: str) -> Iterator[EntryPoint]:
    yield from entry_points(group=group)
    yield from (point for point in _BUILT_IN if point.group == group)


def _load(group: str, kind: str) -> object:
    for point in _points(group):
        if point.name == kind:
            try:
                return cast("object", point.load())
            except ImportError as error:
                msg = (
                    f"The kind {kind!r} needs a library that is not installed: {error}."
                )
                advice = f"pip install 'tundish[{_EXTRAS.get(kind, 'line')}]'"
                raise LinePluginMissingError(msg, advice=advice) from error
    have = ", ".join(kinds(group))
    msg = f"No plug-in offers the kind {kind!r} in {group}; installed are: {have}."
    raise LinePluginMissingError(msg)

"""Check a line without running it: package, servers, tags; nothing is written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tundish.catalog.scenario import Scenario
from tundish.data.errors import UnitMismatchError
from tundish.flows.contract import contract_of
from tundish.flows.desk import desk_of
from tundish.flows.open_package import look_at_grant
from tundish.flows.versions import read_serving, serving_grant
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.line.dryrun import CheckRow, judge_input, judge_output, judge_peer
from tundish.line.guard import check_mode
from tundish.line.inspection import Inspection, Inspects
from tundish.line.linefile import (
    LineFile,
    SinkSpec,
    SourceSpec,
    check_signals,
    read_line_file,
)
from tundish.line.plugins import (
    is_archive,
    open_archive,
    open_requests,
    open_sink,
    open_source,
)
from tundish.model.package import Package


class LineCheck(Record):
    """What a dry run of a line found.

    Attributes:
        runs: Whether nothing is wrong.
        rows: The line, then each server and its tags.
    """

    name: str
    mode: str
    scenario: str
    package: str
    runs: bool
    rows: tuple[CheckRow, ...]


def check_line(workspace: Workspace, path: Path) -> LineCheck:
    """Open the package's card, look at every server, and compare; write nothing.

    The package's signers are verified as always. The grant is read, and none of its uses
    is counted: one that has ended, was revoked or is for another device is named here.

    Raises:
        DocumentInvalidError, LineFileInvalidError: if the line file is wrong.
        RefusedError: if the package does not count here, or its contract is encrypted.
        AirGappedError: if a server may not be connected to from here.
    """
    line = read_line_file(path)
    endpoints = [one.endpoint for one in line.sources]
    endpoints += [one.endpoint for one in _sinks(line)]
    for endpoint in endpoints:
        workspace.may_connect(endpoint, "A server of the line")
    package = read_serving(workspace, path, line)
    scenario = contract_of(package)
    check_signals(line, scenario)
    rows = [*_line_rows(line, scenario, path.parent)]
    rows += _grant_rows(workspace, path, line, package)
    rows += _desk_rows(workspace, line)
    rows += asyncio.run(_all_peers(line, scenario))
    return LineCheck(
        name=line.name,
        mode=line.mode,
        scenario=str(scenario.key),
        package=f"{package.statement.product} version {package.statement.version}",
        runs=all(row.verdict != "wrong" for row in rows),
        rows=tuple(rows),
    )


def _line_rows(line: LineFile, scenario: Scenario, folder: Path) -> list[CheckRow]:
    """Judge what stands on this machine."""
    rows = []
    try:
        check_mode(scenario, line.mode)
    except TundishError as error:
        rows.append(_wrong("line", "mode", error.message))
    place = (folder / line.buffer.path).parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        said = f"The folder {place} of the buffer is not there, or may not be written."
        rows.append(_wrong("line", "buffer", said))
    return rows


def _grant_rows(
    workspace: Workspace, path: Path, line: LineFile, package: Package
) -> list[CheckRow]:
    """Judge the grant as far as that goes without using it."""
    if not package.encrypted:
        return []
    grant = serving_grant(workspace, path, line)
    if grant is None or not grant.is_file():
        there = f"{grant.name} is not there" if grant else "none is named"
        said = f"The package is encrypted and needs a grant: {there}."
        return [_wrong("line", "grant", said)]
    try:
        look_at_grant(workspace, package, paths.read_file(grant))
    except TundishError as error:
        return [_wrong("line", "grant", f"{error.message} {error.advice}".strip())]
    return []


def _desk_rows(workspace: Workspace, line: LineFile) -> list[CheckRow]:
    """Judge the door for operators, without opening it."""
    if line.desk is None:
        return []
    try:
        desk_of(workspace, line)
    except TundishError as error:
        return [_wrong("desk", "", f"{error.message} {error.advice}".strip())]
    said = f"{line.desk.endpoint} for {len(line.desk.operators)} operators."
    return [CheckRow(part="desk", said=said)]


async def _all_peers(line: LineFile, scenario: Scenario) -> list[CheckRow]:
    rows: list[CheckRow] = []
    for source in line.sources:
        rows += await _source_rows(source, scenario)
    rows += _archive_rows(line, scenario)
    for sink in line.sinks:
        if is_archive(sink):
            continue
        rows += await _sink_rows(sink, partial(open_sink, sink, scenario), scenario)
    if line.control is not None:
        sink = line.control.sink
        rows += await _sink_rows(sink, partial(open_requests, sink, scenario), scenario)
    return rows


def _sinks(line: LineFile) -> list[SinkSpec]:
    return [*line.sinks, *([line.control.sink] if line.control else [])]


async def _source_rows(spec: SourceSpec, scenario: Scenario) -> list[CheckRow]:
    found = await _looked(spec, partial(open_source, spec, scenario))
    if isinstance(found, CheckRow):
        return [found]
    rows = [judge_peer(spec.endpoint, found, scenario.stale_after_s)]
    rows += [
        judge_input(
            spec.endpoint,
            scenario.signal(seen.name),
            spec.node(seen.name),
            seen,
            _convert,
            scenario.stale_after_s,
        )
        for seen in found.tags
        if seen.name in spec.nodes
    ]
    return rows


def _archive_rows(line: LineFile, scenario: Scenario) -> list[CheckRow]:
    """Judge the archive: its options, and whether its folder can be written."""
    try:
        archive = open_archive(line, scenario, {})
    except TundishError as error:
        return [_wrong("archive", "options", error.message)]
    if archive is None:
        return []
    part = f"archive {archive.name}"
    place = next(Path(spec.folder()) for spec in line.sinks if is_archive(spec))
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        return [_wrong(part, "folder", f"Nothing can be written in {place}.")]
    return [CheckRow(part=part, verdict="good", said="every sample is kept")]


async def _sink_rows(
    spec: SinkSpec, make: Callable[[], object], scenario: Scenario
) -> list[CheckRow]:
    found = await _looked(spec, make)
    if isinstance(found, CheckRow):
        return [found]
    part = f"sink {spec.name}"
    peer = judge_peer(part, found, scenario.stale_after_s)
    return [peer, *(judge_output(part, seen) for seen in found.tags)]


async def _looked(
    spec: SourceSpec | SinkSpec, make: Callable[[], object]
) -> Inspection | CheckRow:
    """Look at a server; what keeps that from happening is a row of its own."""
    try:
        peer = make()
        if not isinstance(peer, Inspects):
            part, what = spec.endpoint, "source"
            if isinstance(spec, SinkSpec):
                part, what = f"sink {spec.name}", "sink"
            said = f"Only its options were checked: a {what} of the kind {spec.kind} shows nothing before it runs."
            return CheckRow(part=part, verdict="doubt", said=said)
        return await peer.inspect()
    except TundishError as error:
        return _wrong(spec.endpoint, "", f"{error.message} {error.advice}".strip())
    except ConnectionError as error:
        return _wrong(spec.endpoint, "", f"{error}.")


def _wrong(part: str, name: str, said: str) -> CheckRow:
    return CheckRow(part=part, name=name, verdict="wrong", said=said)


def _convert(plant: str, contract: str) -> tuple[float, float]:
    """Turn units; without the library for it, equal texts only fit."""
    if plant == contract:
        return 1.0, 0.0
    try:
        from tundish.data.units import conversion  # noqa: PLC0415

        return conversion(plant, contract)
    except UnitMismatchError as error:
        raise ValueError(error.message) from error
    except ImportError as error:
        msg = f"the server's unit is {plant} and the contract's {contract}; whether they fit cannot be told without the extra data"
        raise ValueError(msg) from error

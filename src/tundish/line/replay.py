"""A plant that plays a recorded run again: a real OPC UA server on loopback.

For demonstrations and tests. It can be cut off for a while and come back on the same
port: the plant goes on meanwhile, and its historian keeps what happened, but for the
rows it is told to forget. Source times are the run's own. ``python -m
tundish.line.replay RUN.npz`` serves in a process of its own, begins when told on
standard input, and ends when standard input does, so it never outlives its parent.
Imports asyncua (extra ``line``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from asyncua import ua
from asyncua.server.binary_server_asyncio import BinaryServer
from asyncua.server.history import HistoryDict
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.clock import SystemClock
from tundish.line.errors import ReplayFailedError
from tundish.line.recording import Recording, Stretch, read_recording
from tundish.line.samples import Floats, from_us
from tundish.line.uaclient import quiet_asyncua

NAMESPACE = "urn:tundish:replay"
Plain = float | str | bool
_ANSWERS: dict[str, tuple[Plain, ua.VariantType]] = {
    "estimate": (0.0, ua.VariantType.Double),
    "lower": (0.0, ua.VariantType.Double),
    "upper": (0.0, ua.VariantType.Double),
    "alarm": (False, ua.VariantType.Boolean),
    "reason": ("", ua.VariantType.String),
    "model": ("", ua.VariantType.String),
    "state": ("", ua.VariantType.String),
    "state_reason": ("", ua.VariantType.String),
    "mode": ("", ua.VariantType.String),
}
_READ_HISTORY = (1 << ua.AccessLevel.CurrentRead) | (1 << ua.AccessLevel.HistoryRead)


@dataclass(frozen=True, slots=True)
class _Step:
    at_us: int
    signal: str
    row: int


class ReplayServer:
    """Serves a recording; see the module.

    Args:
        recording: What happened.
        speed: Seconds of the run per second of the wall clock.
        port: Loopback port; 0 takes a free one, and keeps it through cuts.
    """

    def __init__(
        self, recording: Recording, *, speed: float = 1.0, port: int = 0
    ) -> None:
        quiet_asyncua()
        self._recording = recording
        self._speed = speed
        self._port = port
        self._server = Server()
        self._historian = HistoryDict()
        self._nodes: dict[str, ua.NodeId] = {}
        self._forgotten: set[int] = set()
        self._clock = SystemClock()
        self.connected = False
        self.row = -1

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Build the address space and listen; nothing is played yet."""
        await self.build()
        await self.listen()

    async def build(self) -> None:
        """Build the address space; samples can happen, and nobody can connect."""
        server = self._server
        server.iserver.history_manager.set_storage(self._historian)
        await server.init()
        server.set_server_name("Tundish replay")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_endpoint(self.endpoint)
        index = await server.register_namespace(NAMESPACE)
        for signal, track in self._recording.tracks.items():
            await self._add_input(index, signal, track.values.shape[1])
        for name, (value, kind) in _ANSWERS.items():
            await self._add_answer(index, name, value, kind)

    async def listen(self) -> None:
        """Let clients in."""
        await self._server.start()
        if self._port == 0:
            self._port = self._listener.port
        self.connected = True

    @property
    def _listener(self) -> BinaryServer:
        if self._server.bserver is None:
            msg = "The replayed plant was not started."
            raise ReplayFailedError(msg)
        return self._server.bserver

    def forget(self, rows: Iterable[int]) -> None:
        """Keep the historian from having some rows (of every signal)."""
        self._forgotten.update(rows)

    async def play(
        self,
        begin_s: float | None = None,
        *,
        rows: Stretch | None = None,
        cuts: Sequence[Stretch] = (),
    ) -> None:
        """Play the run (or some rows of it), cut off during some rows.

        Args:
            begin_s: Monotonic second of the wall clock at which the first source
                time of the run is; now if not given.
            rows: Rows to play; all if not given.
            cuts: Rows during which nobody can connect.
        """
        begin_s = self._clock.monotonic_s() if begin_s is None else begin_s
        origin_us = self._recording.start_us
        for step in self._steps(rows):
            due_s = begin_s + (step.at_us - origin_us) / 1e6 / self._speed
            wait_s = due_s - self._clock.monotonic_s()
            await asyncio.sleep(max(wait_s, 0.0))
            await self._connect_as_planned(step.row, cuts)
            await self.happen(step.signal, step.row)

    async def happen(self, signal: str, row: int) -> None:
        """Let one sample happen in the plant, whether or not anybody can see it."""
        track = self._recording.tracks[signal]
        value = _data_value(int(track.at_us[row]), track.values[row])
        await self.say(signal, value, keep=row not in self._forgotten)
        self.row = row

    async def say(self, signal: str, value: ua.DataValue, *, keep: bool = True) -> None:
        """Set a node to any value, status and time; ``keep`` it in the historian."""
        node = self._nodes[signal]
        await self._server.write_attribute_value(node, value)
        if keep:
            await self._historian.save_node_value(node, value)

    async def cut(self) -> None:
        """Drop every connection and let nobody in; the plant goes on."""
        if self.connected:
            self.connected = False
            await self._listener.stop()

    async def mend(self) -> None:
        """Listen again on the same port."""
        if not self.connected:
            await self._listener.start()
            self.connected = True

    async def answer(self, name: str) -> ua.DataValue:
        """Return what a line wrote to one of the answer nodes."""
        node = self._server.get_node(self._nodes[name])
        return await node.read_data_value(raise_on_bad_status=False)

    async def close(self) -> None:
        """Stop for good."""
        await self._server.stop()

    def _steps(self, rows: Stretch | None) -> list[_Step]:
        steps = [
            _Step(int(at_us), signal, row)
            for signal, track in self._recording.tracks.items()
            for row, at_us in enumerate(track.at_us)
            if rows is None or row in rows
        ]
        return sorted(steps, key=lambda step: step.at_us)

    async def _connect_as_planned(self, row: int, cuts: Sequence[Stretch]) -> None:
        if any(row in cut for cut in cuts):
            if self.connected:
                await self.cut()
                _say({"event": "cut", "row": row})
        elif not self.connected:
            await self.mend()
            _say({"event": "mended", "row": row})

    async def _add_input(self, index: int, signal: str, channels: int) -> None:
        start: float | list[float] = [0.0] * channels if channels > 1 else 0.0
        variant = ua.Variant(start, ua.VariantType.Double)
        node = await self._server.nodes.objects.add_variable(
            _text_id(signal, index), signal, variant
        )
        waiting = ua.StatusCode(ua.UInt32(StatusCodes.BadWaitingForInitialData))
        await node.write_value(ua.DataValue(None, StatusCode=waiting))
        for attribute in (AttributeIds.AccessLevel, AttributeIds.UserAccessLevel):
            level = ua.Variant(_READ_HISTORY, ua.VariantType.Byte)
            await node.write_attribute(attribute, ua.DataValue(level))
        await self._historian.new_historized_node(node.nodeid, None)
        self._nodes[signal] = node.nodeid

    async def _add_answer(
        self, index: int, name: str, value: Plain, kind: ua.VariantType
    ) -> None:
        node = await self._server.nodes.objects.add_variable(
            _text_id(f"tundish.{name}", index), name, ua.Variant(value, kind)
        )
        await node.set_writable()
        self._nodes[name] = node.nodeid


def _text_id(text: str, index: int) -> ua.NodeId:
    return ua.NodeId(ua.String(text), ua.Int16(index))


def _data_value(at_us: int, values: Floats) -> ua.DataValue:
    at = cast("ua.DateTime", from_us(at_us))
    if not np.isfinite(values).any():
        status = ua.StatusCode(ua.UInt32(StatusCodes.BadSensorFailure))
        return ua.DataValue(None, StatusCode=status, SourceTimestamp=at)
    numbers = values.tolist()
    plain = numbers if len(numbers) > 1 else numbers[0]
    variant = ua.Variant(plain, ua.VariantType.Double)
    return ua.DataValue(variant, StatusCode=ua.StatusCode(), SourceTimestamp=at)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a recording until standard input ends; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tundish.line.replay")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cut", type=Stretch.from_text, action="append", default=[])
    parser.add_argument("--forget", type=Stretch.from_text, action="append", default=[])
    asyncio.run(_serve(parser.parse_args(arguments)))


async def _serve(options: argparse.Namespace) -> None:
    recording = read_recording(options.recording)
    server = ReplayServer(recording, speed=options.speed, port=options.port)
    for stretch in options.forget:
        server.forget(range(stretch.first, stretch.end))
    await server.start()
    playing: asyncio.Task[None] | None = None
    try:
        _say({"event": "ready", "endpoint": server.endpoint})
        orders = await _orders()
        while line := await orders.readline():
            word, _, value = line.decode().strip().partition(" ")
            if word == "begin" and playing is None:
                playing = asyncio.create_task(_play(server, float(value), options.cut))
    finally:
        if playing is not None:
            playing.cancel()
        await server.close()


async def _play(server: ReplayServer, begin_s: float, cuts: list[Stretch]) -> None:
    await server.play(begin_s, cuts=cuts)
    await server.mend()
    _say({"event": "played", "row": server.row})


async def _orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def _say(what: dict[str, Json]) -> None:
    sys.stdout.buffer.write(canonical.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

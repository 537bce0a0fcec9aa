"""A cable between a line and a server, which a test can cut, hang, slow and mend.

It forwards TCP on loopback, in a thread of its own. ``cut`` resets what is open and
refuses what is new; ``hang`` is the half-open connection: nothing arrives any more,
in one direction or both, and nobody is told; ``slow`` delays every chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Literal, Self, TypeVar

T = TypeVar("T")
Way = Literal["up", "down"]  # to the server, to the line


class Cable:
    """A proxy to one port of loopback; see the module."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._hung: set[Way] = set()
        self._delay_s = 0.0
        self._change: Callable[[Way, bytes], bytes] | None = None
        self.passed = {"up": 0, "down": 0}
        self.connections = 0
        self._listener = self._call(self._listen())
        self.port: int = self._listener.sockets[0].getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._is_cut = True
        self._call(self._reset())

    def hang(self, *ways: Way) -> None:
        """Let nothing through any more, and tell nobody."""
        self._hung = set(ways or ("up", "down"))

    def slow(self, delay_s: float) -> None:
        """Delay every chunk."""
        self._delay_s = delay_s

    def change(self, change: Callable[[Way, bytes], bytes] | None) -> None:
        """Let chunks through changed."""
        self._change = change

    def mend(self) -> None:
        """Let everything through again; connections that hung are reset."""
        if self._hung:
            self._call(self._reset())
        self._is_cut, self._delay_s, self._change = False, 0.0, None
        self._hung = set()

    def close(self) -> None:
        """End it."""
        self._is_cut = True
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, job: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accepted, "127.0.0.1", 0)

    async def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        ways: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, Way]]
        ways = [(reader, far[1], "up"), (far[0], writer, "down")]
        for source, target, way in ways:
            self._writers.add(target)
            task = asyncio.create_task(self._pump(source, target, way))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                while way in self._hung:  # noqa: ASYNC110  (another thread ends it)
                    await asyncio.sleep(0.02)
                if self._change:
                    data = self._change(way, data)
                self.passed[way] += len(data)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
        self._writers.discard(writer)

    async def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        self._writers.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self) -> None:
        self._listener.close()
        await self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

"""A TCP proxy that does to a link what plants do: cuts, stalls, loses, goes half open.

Loss is shown as a client sees it above TCP: a segment that is lost comes after the time
of a retransmission, and holds up all that is behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from typing import Self

from tests.ports import free_port

_RETRANSMIT_S = 0.2
_BYTES = 16_384


class ChaosProxy:
    """Stands between a line and a server; runs in a thread of its own.

    Args:
        port: The server's, on loopback.
        seed: Of what is lost.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self._to = port
        self._random = random.Random(seed)  # noqa: S311
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = free_port()
        self.delay_s = 0.0
        self.loss = 0.0
        self.lost = 0

    @property
    def endpoint(self) -> str:
        """Where a line connects."""
        return f"opc.tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        self.thaw()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Pull the cable: connections end, and nobody gets in."""
        self._call(self._close())

    def mend(self) -> None:
        """Put it back."""
        self._call(self._listen())

    def freeze(self) -> None:
        """Go half open: sockets stay, new ones are taken, and nothing passes."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def thaw(self) -> None:
        """Let everything pass again."""
        self._loop.call_soon_threadsafe(self._open.set)

    def drop(self) -> None:
        """End the connections that there are; new ones are taken."""
        self._call(self._drop())

    def _call(self, job: object) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._joined, "127.0.0.1", self.port
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._drop()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _joined(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        mine = {writer}
        self._writers |= mine
        try:
            await self._open.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            mine.add(forth)
            self._writers.add(forth)
            await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))
        except OSError:
            pass
        finally:
            for one in mine:
                one.transport.abort()
            self._writers -= mine
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_BYTES):
                await self._open.wait()
                wait_s = self.delay_s
                if self._random.random() < self.loss:
                    self.lost += 1
                    wait_s += _RETRANSMIT_S * 2 ** self._random.randrange(3)
                if wait_s:
                    await asyncio.sleep(wait_s)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

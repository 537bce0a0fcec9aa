"""A Modbus device in a process of its own (pymodbus), for tests that break it.

Run as ``python modbus_plant.py PORT START_US``; orders come as lines on standard input:
an exception code that register 5 answers with from now on, 0 for none. Register 5 holds
the number of tenths of a second since the start, modulo 900, at the moment it is asked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Any, Self

WRAP = 900
PERIOD_US = 100_000
REGISTER = 5


def row_at(start_us: int) -> int:
    return int((time.time() * 1e6 - start_us) / PERIOD_US)


async def serve(port: int, start_us: int) -> None:
    """Serve for ever."""
    from pymodbus.constants import ExcCodes  # noqa: PLC0415
    from pymodbus.server import ModbusTcpServer  # noqa: PLC0415
    from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: PLC0415

    refused = 0

    async def act(
        function: int, start: int, address: int, count: int, now: list[int], _: Any
    ) -> Any:
        del function
        if address <= REGISTER < address + count:
            if refused:
                return ExcCodes(refused)
            now[REGISTER - start] = row_at(start_us) % WRAP
        return None

    words = SimData(0, values=list(range(6000)), datatype=DataType.REGISTERS)
    bits = SimData(0, values=[True] * 16, datatype=DataType.BITS)
    device = SimDevice(1, simdata=([bits], [bits], [words], [words]), action=act)
    server = ModbusTcpServer(device, address=("0.0.0.0", port))  # noqa: S104
    await server.serve_forever(background=True)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        refused = int(line)


class ModbusPlant:
    """One such process; used as a context."""

    def __init__(self) -> None:
        from tests.ports import free_port  # noqa: PLC0415  (the script cannot)

        self.port = free_port()
        self.period_us = PERIOD_US
        self.start_us = int(time.time()) * 1_000_000
        self.early_us, self.late_us = 0, 2 * PERIOD_US
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def is_true(self, at_us: int, value: float) -> bool:
        """Whether the register held this between the question and the latest answer.

        ``early_us`` and ``late_us`` are how far a clock that jumped may be off.
        """
        first = (at_us - self.early_us - self.start_us) // PERIOD_US
        last = (at_us + self.late_us - self.start_us) // PERIOD_US
        return value in {row % WRAP for row in range(first, last + 1)}

    def start(self) -> None:
        command = [sys.executable, __file__, str(self.port), str(self.start_us)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "up\n"

    def refuse(self, code: int) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{code}\n")
        self.process.stdin.flush()

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, what)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))

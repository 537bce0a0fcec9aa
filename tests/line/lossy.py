"""A link that loses packets below TCP: a TUN device whose other end is a test.

What a program sends to ``there`` comes out of the device as IP packets; each is lost,
or held for a while, and goes back in with its two addresses exchanged, so that it
arrives at ``here`` from ``there``. The kernel's own TCP stands at both ends and sends
again what was lost; the sum of a packet does not change when its addresses are
exchanged. Whoever listens on ``here`` is reached as ``there``.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import threading
import time
from typing import Self

HERE, THERE = "10.77.13.1", "10.77.13.2"
_TUNSETIFF, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x400454CA, 0x8916, 0x891C
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_TUN_NO_HEADER, _UP = 0x0001 | 0x1000, 0x1
_NAME = b"tundloss"
_MOST = 65_536


class LossyLink:
    """Packets between ``here`` and ``there``; used as a context.

    Args:
        seed: Of what is lost.

    Raises:
        OSError: if this machine or user makes no TUN devices.
    """

    here, there = HERE, THERE

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.loss = self.delay_s = 0.0
        self.down = False
        self.lost = self.passed = 0
        self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        try:
            self._set_up()
        except OSError:
            os.close(self._device)
            raise
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pass, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._device)

    def _set_up(self) -> None:
        fcntl.ioctl(self._device, _TUNSETIFF, _named("H", _TUN_NO_HEADER))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for call, text in (
                (_SIOCSIFADDR, HERE),
                (_SIOCSIFNETMASK, "255.255.255.0"),
            ):
                address = struct.pack("HH4s8x", socket.AF_INET, 0, _bytes(text))
                fcntl.ioctl(any_socket, call, _NAME.ljust(16, b"\0") + address)
            found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _named("H", 0))
            flags = struct.unpack_from("H", found, 16)[0] | _UP
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _named("H", flags))

    def _pass(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._device, selectors.EVENT_READ)
            while not self._ended.is_set():
                now_s = time.monotonic()
                while waiting and waiting[0][0] <= now_s:
                    with contextlib.suppress(OSError):
                        os.write(self._device, heapq.heappop(waiting)[2])
                pause_s = min(0.05, waiting[0][0] - now_s) if waiting else 0.05
                if not selector.select(max(0.0, pause_s)):
                    continue
                with contextlib.suppress(BlockingIOError):
                    while packet := os.read(self._device, _MOST):
                        self._take(packet, waiting)

    def _take(self, packet: bytes, waiting: list[tuple[float, int, bytes]]) -> None:
        if packet[0] >> 4 != 4 or packet[16:20] != _bytes(THERE):
            return  # the kernel's own, such as IPv6
        if self.down or self._random.random() < self.loss:
            self.lost += 1
            return
        self.passed += 1
        turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
        moment_s = time.monotonic() + self.delay_s
        heapq.heappush(waiting, (moment_s, self.passed, turned))


def _bytes(address: str) -> bytes:
    return socket.inet_aton(address)


def _named(form: str, value: int) -> bytes:
    return struct.pack(f"16s{form}22x", _NAME, value)

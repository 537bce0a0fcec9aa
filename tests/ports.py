"""Ports for servers that a test starts, which nobody else takes before they listen.

A port that the kernel gave for a moment ("bind to 0, ask which, close") may be given to
another test process before its server listens, or while a test has stopped it. These lie
below all that the kernel gives by itself, and a block of them belongs to one process: it
holds the UDP port of the block's first number until it ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FIRST, _BLOCK = 10_000, 50
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(together: int = 1) -> int:
    """Return a port of loopback that nobody has; as many after it are free too.

    Args:
        together: How many ports lie beside each other, the one returned among them.

    Raises:
        OSError: if no port is left.
    """
    found: list[int] = []
    for port in _mine():
        followed = found and found[-1] + 1 == port
        found = [*found, port] if followed else [port]
        if not _is_free(port):
            found = []
        if len(found) == together:
            return found[0]
    msg = "no port is left"
    raise OSError(msg)


@cache
def _mine() -> Iterator[int]:
    """Give the ports of this process, each once; a process has one such row."""
    return _ports()


def _ports() -> Iterator[int]:
    blocks = range(_FIRST, _lowest_of_the_kernel() - _BLOCK, _BLOCK)
    first = os.getpid() % len(blocks)  # processes that start together do not collide
    for number in range(len(blocks)):
        block = blocks[(first + number) % len(blocks)]
        if _claimed(block):
            yield from range(block, block + _BLOCK)


def _lowest_of_the_kernel() -> int:
    with contextlib.suppress(OSError):
        return int(_RANGE.read_text().split()[0])
    return 32_768


def _claimed(block: int) -> bool:
    """Take a block until this process ends, which lets the socket go."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", block))
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""Bounds that a child process takes on before it touches foreign bytes.

A parser that crashes, hangs or asks for all memory then takes the child with it and
nothing else; the child has no network where the kernel allows that.
"""

from __future__ import annotations

import ctypes
import os
import resource

_NEW_USER = 0x10000000
_NEW_NETWORK = 0x40000000
_GRACE_S = 5


def take_limits(memory_bytes: int, cpu_s: int, files: int) -> None:
    """Bound this process for good: address space, time, open files, size of files."""
    for what, most, grace in (
        (resource.RLIMIT_AS, memory_bytes, 0),
        # the soft limit sends SIGXCPU, the hard one kills
        (resource.RLIMIT_CPU, cpu_s, _GRACE_S),
        (resource.RLIMIT_NOFILE, files, 0),
        (resource.RLIMIT_FSIZE, memory_bytes, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        hard = resource.getrlimit(what)[1]
        top = (
            most + grace if hard == resource.RLIM_INFINITY else min(most + grace, hard)
        )
        resource.setrlimit(what, (min(most, top), top))


def leave_network() -> bool:
    """Move this process into an empty network, where the kernel allows it.

    The super-user does not enter a user namespace, since it would lose the right to
    read other people's files.
    """
    flags = _NEW_NETWORK if os.geteuid() == 0 else _NEW_NETWORK | _NEW_USER
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    return unshare is not None and unshare(flags) == 0

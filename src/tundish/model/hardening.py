"""What keeps clear weights out of other processes' and core dumps' reach, and off swap.

On Linux: the process is marked as not dumpable (others of the same user can then read
neither its memory nor attach to it), core dumps are turned off, and all memory is kept
off swap where the system lets it: always as root or with ``LimitMEMLOCK=infinity``.
These last until the process ends, because the weights do. Where not all memory may be
locked, the decrypted file alone is, while it stands. An administrator can still read
the memory, and a machine that hibernates writes all of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import sys
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from tundish.kernel.records import Record

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_MCL_ALL = 1 | 2 | 4  # what stands, what comes, and each page when it is first touched
_MADV_HUGEPAGE = 14  # a lock touches every page: in 4 KiB steps, 16 ms for 38 MB
_MADV_DONTDUMP = 16
_CAP_IPC_LOCK = 1 << 14


class Hardening(Record):
    """What could be done on this machine.

    Attributes:
        dumpable_off: Other processes of this user cannot read the memory.
        core_off: A crash writes no core dump.
        locked: What is never written to swap: all memory of the process, or only the
            decrypted file while it stands, or nothing.
    """

    model_config = ConfigDict(defer_build=False)  # later files may not be readable

    dumpable_off: bool
    core_off: bool
    locked: Literal["all", "file", "none"]


def harden() -> Hardening:
    """Do what this system allows, and say what was done; never raises."""
    if sys.platform != "linux":
        return Hardening(dumpable_off=False, core_off=False, locked="none")
    locked = _lock_all()  # first: an undumpable process may not look into /proc/self
    return Hardening(
        dumpable_off=_no_dump(), core_off=_no_core(), locked="all" if locked else "none"
    )


class ClearBytes:
    """Memory for clear bytes: locked, left out of dumps, and wiped in the end.

    The runtime takes a graph as ``bytes`` only. So this is a ``bytes`` object of our
    own making, filled once before anybody sees it, as CPython's
    ``PyBytes_FromStringAndSize`` allows. After ``wipe`` it holds zeros: whoever still
    has it has nothing.

    Args:
        size: How many.
        locked: Whether all memory of this process is kept off swap anyway.

    Attributes:
        data: The bytes.
        locked: Whether they are kept off swap.
    """

    def __init__(self, size: int, *, locked: bool = False) -> None:
        make = ctypes.pythonapi["PyBytes_FromStringAndSize"]
        make.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]
        make.restype = ctypes.py_object
        self.data: bytes = make(None, size)
        self._place = (id(self.data) + bytes.__basicsize__ - 1, size)
        _advise(*self._place)
        self._own_lock = not locked and _call("mlock", *self._place)
        self.locked = locked or self._own_lock

    def buffer(self) -> memoryview:
        """Return a writable view, to fill in the bytes before they are used."""
        if not self.data:  # the one empty object of the interpreter
            return memoryview(bytearray())
        start, size = self._place
        return memoryview((ctypes.c_char * size).from_address(start)).cast("B")

    def wipe(self) -> None:
        """Write zeros over the bytes; their pages may go to swap again."""
        start, size = self._place
        ctypes.memset(start, 0, size)
        if self._own_lock:
            # after mlockall this would let pages go that must stay; locks do not nest
            _call("munlock", start, size)
            self._own_lock = False


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however that ends.

    Raises:
        SystemExit: if the parent is gone already.
    """
    with contextlib.suppress(OSError, AttributeError):  # elsewhere the pipe's end tells
        ctypes.CDLL(None, use_errno=True).prctl(
            _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0
        )
    if os.getppid() != parent:
        raise SystemExit(0)


def _no_dump() -> bool:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        return int(library.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False


def _no_core() -> bool:
    import resource  # noqa: PLC0415 -- POSIX only

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def _lock_all() -> bool:
    """Keep all memory off swap, if its size may grow without a limit.

    Under a limit this would succeed in a small process, and every later allocation
    beyond the limit would fail in the midst of the work.
    """
    try:
        return _unlimited() and ctypes.CDLL(None).mlockall(_MCL_ALL) == 0
    except (OSError, AttributeError):
        return False


def _unlimited() -> bool:
    import resource  # noqa: PLC0415 -- POSIX only

    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return True
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & _CAP_IPC_LOCK)
    return False


def _advise(start: int, size: int) -> None:
    """Leave the whole pages of a range out of dumps, and let them be large."""
    page = mmap.PAGESIZE
    first, end = -(-start // page) * page, (start + size) // page * page
    if end > first:
        _call("madvise", first, end - first, _MADV_HUGEPAGE)
        _call("madvise", first, end - first, _MADV_DONTDUMP)


def _call(name: str, start: int, size: int, *more: int) -> bool:
    """Call a function of the C library on a range; tell whether it did its work."""
    if sys.platform != "linux" or not size:
        return False
    try:
        function = ctypes.CDLL(None)[name]
    except (OSError, AttributeError):
        return False
    return bool(function(ctypes.c_void_p(start), ctypes.c_size_t(size), *more) == 0)

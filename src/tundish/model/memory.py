"""A bound on the memory that a graph may take while it is loaded and while it runs.

The graph check sees constants and single operators; it cannot see a tensor that grows
step by step inside allowed ones (joined to itself thirty times, spread against its own
transpose, as long as a value of the window says). So the process may not grow by more
than a budget during a load or a run: the runtime then fails with an error, and the
process lives. On Linux; elsewhere there is no bound. Without ``/proc`` nothing tells how
much the process holds, and the bound is the machine's memory more.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import lru_cache

if sys.platform == "linux":
    import resource  # POSIX only

WORKING_BYTES = 1024**3
GRAPH_COPIES = 8
WINDOW_COPIES = 256

_FRESH_S = 0.05

_lock = threading.Lock()
_inside = 0
_before = (-1, -1)
_held = (0, float("-inf"))


def for_graph(size: int) -> int:
    """Return what loading a graph of so many bytes may take, in bytes."""
    return _working() + GRAPH_COPIES * size


def for_window(size: int, graph: int) -> int:
    """Return what running a graph on windows of so many bytes may take, in bytes."""
    return _working() + GRAPH_COPIES * graph + WINDOW_COPIES * size


class bounded:  # noqa: N801 -- used like a function, and asked before each window
    """Let this process grow by at most ``budget`` bytes of address space meanwhile.

    The bound is the process's own, so other threads share it; a bound that was tighter
    before stays. What goes beyond gets no memory: an error in Python or in the runtime.
    """

    __slots__ = ("_budget",)

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def __enter__(self) -> None:
        if sys.platform == "linux":
            _enter(self._budget)

    def __exit__(self, *_: object) -> None:
        if sys.platform == "linux":
            _leave()


def _enter(budget: int) -> None:
    global _inside, _before  # noqa: PLW0603 -- the limit is the process's, and so is this
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        _before = resource.getrlimit(resource.RLIMIT_AS)
        hard = _before[1]
        wanted = _address_space() + budget
        for end in _before:
            if end != resource.RLIM_INFINITY:
                wanted = min(wanted, end)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _leave() -> None:
    global _inside  # noqa: PLW0603 -- as above
    with _lock:
        _inside -= 1
        if not _inside:
            resource.setrlimit(resource.RLIMIT_AS, _before)


def _address_space() -> int:
    """Return what the process holds, or held within the last 50 ms.

    Asking the kernel takes longer than a small model does, and a budget is a gigabyte or
    more: what a process takes in between does not matter.
    """
    global _held  # noqa: PLW0603 -- of the process, like the limit
    now_s = time.monotonic()
    if now_s - _held[1] > _FRESH_S:
        _held = (_asked_address_space(), now_s)
    return _held[0]


def _asked_address_space() -> int:
    """Ask the kernel; as much as the machine has, where nothing tells."""
    try:
        pages = int(os.pread(_statm(os.getpid()), 64, 0).split()[0])
    except OSError:  # a root without /proc
        pages = os.sysconf("SC_PHYS_PAGES")
    return pages * os.sysconf("SC_PAGE_SIZE")


@lru_cache(maxsize=1)
def _statm(pid: int) -> int:
    """Keep the file open: a line asks before each window. After a fork it is another."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)


@lru_cache(maxsize=1)
def _working() -> int:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(WORKING_BYTES, memory // 2)

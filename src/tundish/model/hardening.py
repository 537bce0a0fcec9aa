"""What keeps clear weights out of other processes' and core dumps' reach.

On Linux: the process is marked as not dumpable (others of the same user can then read
neither its memory nor attach to it) and core dumps are turned off. Both last until the
process ends, because the weights do. An administrator can still read the memory.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, kw_only=True)
class Hardening:
    """What could be done on this machine.

    Attributes:
        dumpable_off: Other processes of this user cannot read the memory.
        core_off: A crash writes no core dump.
    """

    dumpable_off: bool
    core_off: bool


def harden() -> Hardening:
    """Do what this system allows, and say what was done; never raises."""
    if sys.platform != "linux":
        return Hardening(dumpable_off=False, core_off=False)
    return Hardening(dumpable_off=_no_dump(), core_off=_no_core())


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

"""Exit codes: which family of errors ends a command with which number."""

from __future__ import annotations

from tundish.kernel.errors import (
    InternalError,
    InterruptedByUserError,
    MachineError,
    RefusedError,
    TundishError,
    UsageError,
)

DONE = 0
NOT_GOOD_ENOUGH = 1

CODES: dict[type[TundishError], tuple[int, str]] = {
    UsageError: (2, "it was asked in a way that cannot be done: a path, a key, a name"),
    RefusedError: (3, "a check that protects somebody refused it"),
    MachineError: (4, "the machine stands in the way: disk, lock, missing extra"),
    InternalError: (70, "a defect of Tundish"),
    InterruptedByUserError: (130, "stopped by Ctrl-C"),
}

MEANINGS: dict[int, str] = {
    DONE: "done",
    NOT_GOOD_ENOUGH: "done, and the answer is no: a verdict 'refused', a grade too low",
} | dict(CODES.values())


def exit_code(error: TundishError) -> int:
    """Return the exit code of an error: that of its nearest family."""
    for cls in type(error).__mro__:
        if cls in CODES:
            return CODES[cls][0]
    return CODES[InternalError][0]

"""Whatever a foreign parser raises on damaged bytes is one refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tundish.data.errors import TableUnreadableError
from tundish.kernel.errors import TundishError

_PANIC = "PanicException"  # of libraries in Rust: a BaseException of a private class


@contextmanager
def said(name: str, what: str) -> Iterator[None]:
    """Turn what a parser raises into "NAME is no whole WHAT".

    No list of kinds is ever whole: parsers raise what their own libraries raise. What
    Tundish refuses and a lack of memory pass as they are.

    Raises:
        TableUnreadableError: for anything else that the parser raises.
    """
    try:
        yield
    except (TundishError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        msg = f"{name} is no whole {what} ({str(error)[:120]})."
        raise TableUnreadableError(msg) from error

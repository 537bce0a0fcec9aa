"""A graph in clear for as long as it is needed, and zeros afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tundish.model import hardening
from tundish.model.hardening import ClearBytes, Hardening
from tundish.seal import envelope
from tundish.seal.envelope import Identity


@dataclass(frozen=True, kw_only=True)
class ClearGraph:
    """A graph in clear, while it is held.

    Attributes:
        data: Its bytes; zeros afterwards, if they came out of an envelope.
        hardening: What keeps such bytes in memory on this machine.
    """

    data: bytes
    hardening: Hardening | None = None


@contextmanager
def decrypted(
    sealed: bytes, identity: Identity, check: Callable[[bytes], None]
) -> Iterator[ClearGraph]:
    """Hold the clear bytes of an envelope; they are wiped at the end, whatever happens.

    The process is hardened first (see ``hardening``), for as long as it lives.

    Args:
        sealed: The envelope.
        identity: Who opens it.
        check: Raises if the clear bytes are not the right ones; asked before anybody
            else sees them.

    Raises:
        EnvelopeClosedError: if the identity does not open it.
    """
    done = hardening.harden()
    clear = ClearBytes(envelope.clear_size(sealed), locked=done.locked == "all")
    if clear.locked and done.locked == "none":
        done = done.model_copy(update={"locked": "file"})
    try:
        envelope.decrypt_into(sealed, identity, clear.buffer())
        check(clear.data)
        yield ClearGraph(data=clear.data, hardening=done)
    finally:
        clear.wipe()

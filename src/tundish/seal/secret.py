"""A text that must not be printed, logged or stored by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn


def wipe(data: bytearray | memoryview) -> None:
    """Write zeros over bytes that were a key, or that a key has opened."""
    data[:] = bytes(len(data))


class SecretText:
    """Holds a secret; only ``reveal`` gives it out.

    Printing shows ``<secret>``, comparing takes constant time, and it can be
    neither pickled nor copied. ``forget`` wipes the bytes that are held here; texts
    that ``reveal`` gave out are Python's, and nobody can wipe those.
    """

    __slots__ = ("_forgotten", "_held")

    def __init__(self, text: str) -> None:
        self._held = bytearray(text, "utf-8")
        self._forgotten = False

    def reveal(self) -> str:
        """Return the secret itself.

        Raises:
            ValueError: if it was forgotten.
        """
        return str(self.view(), "utf-8")

    def view(self) -> memoryview:
        """Return the bytes that are held, without a copy.

        Raises:
            ValueError: if it was forgotten.
        """
        if self._forgotten:  # not told by zeros: a foreign text may be nothing else
            msg = "a secret was used after it was forgotten"
            raise ValueError(msg)
        return memoryview(self._held)

    def forget(self) -> None:
        """Write zeros over the secret; it cannot be used any more."""
        wipe(self._held)
        self._forgotten = True

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        """Tell whether two secrets are equal."""
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(self._held, other._held)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        msg = "a secret is not copied"
        raise TypeError(msg)

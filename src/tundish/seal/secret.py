"""A text that must not be printed, logged or stored by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn


class SecretText:
    """Holds a secret; only ``reveal`` gives it out.

    Printing shows ``<secret>``, comparing takes constant time, and it can be
    neither pickled nor copied.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        """Tell whether two secrets are equal."""
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        msg = "a secret is not copied"
        raise TypeError(msg)

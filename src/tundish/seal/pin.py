"""Where the PIN of a token comes from: a file, the environment, or a person.

A file that the address names (``pin-source``) goes first: it is the one thing said
about this very token, and a PIN for another one costs a try. The PIN is never part
of an address, of a message or of anything that is written.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tundish.kernel import paths, settings
from tundish.seal.errors import KeyExposedError
from tundish.seal.secret import SecretText
from tundish.seal.token_errors import TokenPinMissingError
from tundish.seal.token_uri import TokenUri

MAX_BYTES = 256
AskPin: TypeAlias = Callable[[str], str | None]
"""Asks a person for the PIN of the token named; None if nobody is there."""


def nobody_asks(_token: str) -> str | None:
    """Say that nobody is there to be asked."""
    return None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A PIN, and whether a person has just typed it."""

    text: SecretText
    typed: bool


def find(uri: TokenUri, ask: AskPin = nobody_asks) -> Pin:
    """Return the PIN for a token.

    Raises:
        TokenPinMissingError: if there is none.
        KeyExposedError: if others may read the file that holds it.
        PathMissingError: if that file is not there.
    """
    if uri.pin_source is not None:
        return Pin(text=_from_file(uri.pin_source), typed=False)
    if (given := settings.pin()) is not None:
        return Pin(text=SecretText(given), typed=False)
    if typed := ask(uri.token_name):
        return Pin(text=SecretText(typed), typed=True)
    msg = f"The token {uri.token_name!r} asks for its PIN, and none was given."
    raise TokenPinMissingError(msg)


def _from_file(path: Path) -> SecretText:
    mode = stat.S_IMODE(paths.existing_file(path).stat().st_mode)
    if mode & 0o077:
        msg = f"The file {path} that holds a PIN has mode {mode:04o}; expected 0600."
        raise KeyExposedError(msg, advice="Run chmod 600 on it, and change the PIN.")
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > MAX_BYTES:
        msg = f"The file {path} holds no PIN (one line of text was expected)."
        raise TokenPinMissingError(msg)
    return SecretText(text)

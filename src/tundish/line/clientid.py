"""The name by which a broker knows a line, from one start to the next."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable


def stable_id(endpoint: str, parts: Iterable[str]) -> str:
    """Return an id of 23 letters, the most that every broker of MQTT takes.

    Args:
        endpoint: Of the broker.
        parts: What makes this client another one than the next on this box.
    """
    text = "\0".join((socket.gethostname(), endpoint, *parts))
    return "tundish-" + hashlib.sha256(text.encode()).hexdigest()[:15]

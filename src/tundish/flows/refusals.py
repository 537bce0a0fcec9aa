"""Clients that were refused: all of them counted, and told of at most once a minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TELL_S = 60.0
_ADDRESSES = 5
_MOST_PEERS = 1000


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Requests that were refused since the last time that somebody was told.

    Attributes:
        requests: How many.
        addresses: Where most of them came from, and how many from there.
        code: Of the last one's error.
    """

    requests: int
    addresses: Mapping[str, int]
    code: str


class Refusals:
    """Counts refusals, however many there are.

    Args:
        now_s: Monotonic seconds.
        tell: Told at most once a minute, and at the end.
    """

    def __init__(
        self, now_s: Callable[[], float], tell: Callable[[Refused], None]
    ) -> None:
        self._now_s, self._tell = now_s, tell
        self._told_s = float("-inf")
        self._peers: Counter[str] = Counter()
        self._untold, self._code = 0, ""
        self.all = 0

    def heard(self, peer: str, code: str) -> None:
        """Count one."""
        self.all += 1
        self._untold += 1
        self._code = code
        if len(self._peers) < _MOST_PEERS or peer in self._peers:
            self._peers[peer] += 1

    def look(self) -> None:
        """Tell of what was not told of yet, if it is time."""
        if self._untold and self._now_s() - self._told_s >= TELL_S:
            self.flush()

    def flush(self) -> None:
        """Tell of what was not told of yet."""
        if not self._untold:
            return
        self._told_s = self._now_s()
        refused = Refused(
            requests=self._untold,
            addresses=dict(self._peers.most_common(_ADDRESSES)),
            code=self._code,
        )
        self._untold = 0
        self._peers.clear()
        self._tell(refused)

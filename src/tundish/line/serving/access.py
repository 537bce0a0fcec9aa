"""Who may ask: bearer tokens, kept as digests and compared in constant time.

A token is 32 random bytes, so one round of SHA-256 hides it: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tundish.line.serving.errors import (
    TokenRefusedError,
    TokenWeakError,
    TooManyRequestsError,
)

LEAST_LETTERS = 32
MOST_LETTERS = 512
_SCHEME = b"bearer "
_PEERS = 1024
_MINUTE_S = 60.0

Seconds = Callable[[], float]
Heard = Callable[[str, str], None]


def token_digest(token: str) -> bytes:
    """Return the SHA-256 of a token.

    Raises:
        TokenWeakError: if it is too short to be kept from being guessed, or is no plain
            text of one word.
    """
    if not LEAST_LETTERS <= len(token) <= MOST_LETTERS:
        msg = f"A token has {len(token)} characters; {LEAST_LETTERS} to {MOST_LETTERS} are taken."
        raise TokenWeakError(msg)
    if not token.isascii() or not token.isprintable() or " " in token:
        msg = "A token holds a character that is no plain printable letter."
        raise TokenWeakError(msg)
    return hashlib.sha256(token.encode()).digest()


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Access:
    """Knows the clients of one server; counts what it refuses.

    Args:
        clients: Digest of the token of each client, by its name.
        now_s: Monotonic seconds.
        rate: Requests a second of one client; 0: not limited.
        refused_per_minute: Wrong tokens of one address before it has to wait.
        heard: Told of each refusal: address, error code.
    """

    def __init__(
        self,
        clients: Mapping[str, bytes],
        *,
        now_s: Seconds,
        rate: float,
        refused_per_minute: int,
        heard: Heard,
    ) -> None:
        self._now_s = now_s
        self._rate = rate
        self._wrong = refused_per_minute
        self._heard = heard
        self._peers: OrderedDict[str, _Bucket] = OrderedDict()
        self._asked: dict[str, _Bucket] = {}
        self.replace(clients)

    def replace(self, clients: Mapping[str, bytes]) -> None:
        """Take another list of clients; a token that is not on it ends at once."""
        self._clients = tuple(clients.items())
        self._last = (b"", "")  # who it was may have ended
        self._asked = {n: b for n, b in self._asked.items() if n in clients}

    def client(self, authorization: bytes, peer: str) -> str:
        """Return the client that a request comes from.

        Args:
            authorization: The header, or nothing. Untrusted.
            peer: Address that it comes from.

        Raises:
            TokenRefusedError: if its token is none of this server's.
            TooManyRequestsError: if there were many such, or if the client asks more
                often than it may.
        """
        header, name = self._last  # most requests come from the one before
        if not name or not hmac.compare_digest(authorization, header):
            name = self._known(authorization)
        if not name:
            raise self._refusal(authorization, peer)
        if self._rate and not self._spend(self._asked, name, self._rate, self._rate):
            msg = f"The client {name} sent more than {self._rate:g} requests a second."
            raise TooManyRequestsError(msg)
        return name

    def _known(self, authorization: bytes) -> str:
        """Return whose token it is; empty: nobody's."""
        name = ""
        if authorization[:7].lower() == _SCHEME:
            given = hashlib.sha256(authorization[7:].strip()).digest()
            for known, kept in self._clients:  # all of them: no early end
                if hmac.compare_digest(given, kept):
                    name = known
        if name:
            self._last = (authorization, name)
        return name

    def _refusal(
        self, authorization: bytes, peer: str
    ) -> TokenRefusedError | TooManyRequestsError:
        each_s = self._wrong / _MINUTE_S
        if not self._spend(self._peers, peer, each_s, self._wrong):
            self._heard(peer, TooManyRequestsError.code)
            msg = f"More than {self._wrong} requests a minute came without a token that counts."
            return TooManyRequestsError(msg)
        self._heard(peer, TokenRefusedError.code)
        if not authorization:
            return TokenRefusedError("The request carries no token.")
        return TokenRefusedError(
            "The request carries a token that does not count here."
        )

    def _spend(
        self, buckets: dict[str, _Bucket], name: str, per_s: float, most: float
    ) -> bool:
        """Take one from a bucket that fills with time; false if it is empty."""
        now_s, most = self._now_s(), max(1.0, most)
        bucket = buckets.pop(name, None) or _Bucket(most, now_s)
        bucket.left = min(most, bucket.left + (now_s - bucket.at_s) * per_s)
        bucket.at_s = now_s
        buckets[name] = bucket
        if len(buckets) > _PEERS:  # the one that was quiet for longest
            del buckets[next(iter(buckets))]
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True

"""One pinned file from a host: cut at its length, checked while it streams, gone on with.

What a host says is foreign: its lengths, ranges and redirects are looked at and not
believed. A file ends as the pinned bytes, as a part to go on with, or as nothing.
Imports urllib3: loaded only when a host is asked.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from tundish.catalog.filelist import PinnedFile
from tundish.data.errors import (
    DigestMismatchError,
    HostRefusedError,
    HostUnreachableError,
    RedirectRefusedError,
    SourceAbsentError,
)
from tundish.data.fetch.hosts import is_allowed, is_near
from tundish.kernel import settings
from tundish.kernel.clock import Clock, SystemClock

_BLOCK = 256 * 1024
_GAIN = 1024 * 1024  # a try that brought as much is not counted
_ENDS = "identity"  # a host must not pack what is pinned unpacked
_MOVED = {301, 302, 303, 307, 308}
_GONE = {404, 410}
_WHOLE, _PART, _NO_RANGE, _BUSY, _FAILED = 200, 206, 416, 429, 500
_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")

Came = Callable[[int], None]
"""Told how many bytes of the file are here."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a host is waited for.

    Attributes:
        connect_s: For a connection.
        read_s: For the next bytes.
        tries: In a row that bring less than a mebibyte.
        pause_s: Before the second try; doubled each time, at most ``longest_s``.
        longest_s: The longest pause, also if the host asks for more.
        stretch_s: In each such stretch ...
        least_bytes: ... so many must come.
        redirects: How many are followed.
    """

    connect_s: float = 15.0
    read_s: float = 60.0
    tries: int = 4
    pause_s: float = 1.0
    longest_s: float = 30.0
    stretch_s: float = 60.0
    least_bytes: int = 64 * 1024
    redirects: int = 5


class _BrokenOff(Exception):  # noqa: N818  (no error yet: it is tried again)
    """An answer ended too early, or none came."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.after_s = after_s


@dataclass(kw_only=True)
class Web:
    """Asks hosts for pinned files; keeps its connections for the next one.

    Attributes:
        patience: How long a host is waited for.
        clock: Measures how fast bytes come.
        wait: Sleeps between two tries.
    """

    patience: Patience = field(default_factory=Patience)
    clock: Clock = field(default_factory=SystemClock)
    wait: Callable[[float], None] = time.sleep
    _pools: dict[str | None, urllib3.PoolManager] = field(default_factory=dict)

    def bring(self, address: str, file: PinnedFile, part: Path, came: Came) -> None:
        """Write a pinned file, going on with what is there of it.

        Args:
            address: Where it is; made by ``hosts.address_of``.
            file: Its bytes and SHA-256.
            part: Where to; kept as it is if the host breaks off.
            came: Told how many bytes are here.

        Raises:
            SourceAbsentError: if the host has no such file.
            HostRefusedError: if it wants a login, or answers with an error.
            HostUnreachableError: if it broke off again and again.
            RedirectRefusedError: if it sends this machine where it does not go.
            DigestMismatchError: if the bytes are others; nothing is kept of them.
        """
        went_on = _size(part) > 0
        if self._whole(address, file, part, came) == file.sha256:
            return
        part.unlink(missing_ok=True)
        if went_on and self._whole(address, file, part, came) == file.sha256:
            return  # the half from before was of other bytes
        part.unlink(missing_ok=True)
        msg = f"{_host(address)} gives other bytes for {file.name} than the catalogue pins."
        raise DigestMismatchError(msg)

    def close(self) -> None:
        """Let go of all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _whole(self, address: str, file: PinnedFile, part: Path, came: Came) -> str:
        """Return the SHA-256 of a file that has its length."""
        left, pause = self.patience.tries, self.patience.pause_s
        while True:
            before = _size(part)
            try:
                return self._go_on(address, file, part, came)
            except _BrokenOff as broken:
                if _size(part) - before >= _GAIN:
                    left, pause = self.patience.tries, self.patience.pause_s
                left -= 1
                if left <= 0:
                    raise _gave_up(address, file, part, broken.why) from broken
                self.wait(min(max(pause, broken.after_s), self.patience.longest_s))
                pause *= 2

    def _go_on(self, address: str, file: PinnedFile, part: Path, came: Came) -> str:
        have = _size(part)
        if have > file.bytes:
            part.unlink()
            have = 0
        if have == file.bytes:
            part.touch()
            return _hash_of(part).hexdigest()
        with self._answer(address, have) as answer:
            start = _start(answer, have, file, part)
            _refuse_length(answer, file, start, part, _host(address))
            return self._copy(answer, file, part, start, came)

    def _copy(
        self,
        answer: urllib3.BaseHTTPResponse,
        file: PinnedFile,
        part: Path,
        start: int,
        came: Came,
    ) -> str:
        sums = _hash_of(part) if start else hashlib.sha256()
        count = start
        pace = _Pace(self.patience, self.clock)
        with part.open("ab" if start else "wb") as stream:
            while block := _next(answer):
                count += len(block)
                if count > file.bytes:
                    break
                stream.write(block)
                sums.update(block)
                came(count)
                pace.check(len(block))
        if count > file.bytes:
            raise _longer(file, part, _host(answer.url or ""))
        if count < file.bytes:
            why = f"it ended after {count:,} of {file.bytes:,} bytes"
            raise _BrokenOff(why)
        return sums.hexdigest()

    @contextmanager
    def _answer(self, address: str, have: int) -> Iterator[urllib3.BaseHTTPResponse]:
        """Ask, following redirects to allowed places; the answer is closed at the end."""
        asked = address
        near = is_near(address)
        for _ in range(self.patience.redirects + 1):
            answer = self._ask(asked, have)
            try:
                if answer.status not in _MOVED:
                    _refuse_status(answer, asked)
                    yield answer
                    return
                asked = _next_place(asked, answer.headers.get("Location", ""), near)
            finally:
                answer.close()  # one that was read to its end is back in its pool
        msg = f"{_host(address)} redirects more than {self.patience.redirects} times."
        raise RedirectRefusedError(msg)

    def _ask(self, address: str, have: int) -> urllib3.BaseHTTPResponse:
        headers = {"Accept-Encoding": _ENDS, "User-Agent": "tundish"}
        if have:
            headers["Range"] = f"bytes={have}-"
        limits = urllib3.Timeout(
            connect=self.patience.connect_s, read=self.patience.read_s
        )
        try:
            return self._pool(address).request(
                "GET",
                address,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=limits,
            )
        except SSLError as error:
            msg = f"The certificate of {_host(address)} is not one that this machine trusts."
            raise HostUnreachableError(msg) from error
        except (HTTPError, OSError, HTTPException) as error:
            why = f"no answer came ({type(error).__name__})"
            raise _BrokenOff(why) from error

    def _pool(self, address: str) -> urllib3.PoolManager:
        proxy = settings.proxy_before(address)
        if proxy not in self._pools:
            self._pools[proxy] = _through(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]


def _through(proxy: str) -> urllib3.ProxyManager:
    """Return connections through a proxy, with the login that stands in its address."""
    parts = urlsplit(proxy)
    login = unquote(parts.netloc.rpartition("@")[0])
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers)


class _Pace:
    """Ends an answer that comes so slowly that it never ends."""

    def __init__(self, patience: Patience, clock: Clock) -> None:
        self._patience = patience
        self._clock = clock
        self._began = clock.monotonic_s()
        self._count = 0

    def check(self, count: int) -> None:
        self._count += count
        now = self._clock.monotonic_s()
        if now - self._began < self._patience.stretch_s:
            return
        if self._count < self._patience.least_bytes:
            why = f"only {self._count:,} bytes came in {now - self._began:.0f} s"
            raise _BrokenOff(why)
        self._began, self._count = now, 0


def _next(answer: urllib3.BaseHTTPResponse) -> bytes:
    try:
        return answer.read1(_BLOCK, decode_content=False)
    except (HTTPError, OSError, HTTPException) as error:
        why = f"the connection broke ({type(error).__name__})"
        raise _BrokenOff(why) from error


def _start(
    answer: urllib3.BaseHTTPResponse, have: int, file: PinnedFile, part: Path
) -> int:
    """Return where the answer's bytes belong: what was asked for, or the beginning."""
    if answer.status == _WHOLE:
        return 0
    if answer.status == _PART and have:
        said = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if said and int(said[1]) == have and said[3] in {"*", str(file.bytes)}:
            return have
    part.unlink(missing_ok=True)  # it cannot be gone on with: the next try begins anew
    msg = "it did not go on where it was asked to"
    raise _BrokenOff(msg)


def _refuse_length(
    answer: urllib3.BaseHTTPResponse,
    file: PinnedFile,
    start: int,
    part: Path,
    host: str,
) -> None:
    said = answer.headers.get("Content-Length", "")
    if not re.fullmatch(r"[0-9]{1,15}", said) or int(said) == file.bytes - start:
        return
    if start + int(said) > file.bytes:
        raise _longer(file, part, host)
    if start:
        part.unlink(missing_ok=True)
    msg = (
        f"{host} has {start + int(said):,} bytes for {file.name}, and the catalogue "
        f"pins {file.bytes:,}."
    )
    raise DigestMismatchError(msg)


def _refuse_status(answer: urllib3.BaseHTTPResponse, address: str) -> None:
    status = answer.status
    if status in {_WHOLE, _PART, _NO_RANGE}:
        return
    host, path = _host(address), urlsplit(address).path
    if status in _GONE:
        msg = f"{host} has no {path} (it answers {status})."
        raise SourceAbsentError(msg)
    if status == _BUSY or status >= _FAILED:
        said = answer.headers.get("Retry-After", "")
        after = float(said) if re.fullmatch(r"[0-9]{1,4}", said) else 0.0
        why = f"it answers {status}"
        raise _BrokenOff(why, after)
    msg = f"{host} answers {status} to {path}."
    raise HostRefusedError(msg)


def _next_place(asked: str, location: str, near: bool) -> str:  # noqa: FBT001
    place = urldefrag(urljoin(asked, location)).url if location else ""
    if place and is_allowed(place, here=near):
        return place
    msg = f"{_host(asked)} redirects to {place[:120] or 'nowhere'!r}."
    raise RedirectRefusedError(msg)


def _longer(file: PinnedFile, part: Path, host: str) -> DigestMismatchError:
    part.unlink(missing_ok=True)
    msg = f"{host} sends more for {file.name} than the {file.bytes:,} bytes that the catalogue pins."
    return DigestMismatchError(msg)


def _gave_up(
    address: str, file: PinnedFile, part: Path, why: str
) -> HostUnreachableError | HostRefusedError:
    msg = f"{_host(address)} was asked for {file.name} again and again: {why}."
    if kept := _size(part):
        msg = f"{msg[:-1]}; {kept:,} bytes are kept."
    answered = why.startswith("it answers")
    return HostRefusedError(msg) if answered else HostUnreachableError(msg)


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "The host")[:80]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _hash_of(path: Path) -> hashlib._Hash:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256")

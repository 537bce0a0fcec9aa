"""The door to a registry: only hosts that a person named are asked, and where they lie.

A registry answers with addresses: redirects, places for uploads, a place that gives
tokens. Each may lead a login elsewhere, or this machine to a neighbour that trusts it.
So a request leaves only for the named host and those named beside it, and the address
behind a name is looked at once the connection stands and before a byte is sent: a name
cannot lead to this machine or to a link-local address (where clouds keep credentials).
Imports requests: loaded only when somebody pushes or pulls.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tundish.kernel.addresses import plain_address
from tundish.model.errors import RegistryElsewhereError

_PORTS = {"http": 80, "https": 443}


def guard(
    session: requests.Session, scheme: str, host: str, also: Sequence[str] = ()
) -> None:
    """Let a session ask only the hosts named.

    Args:
        session: Whose adapters are replaced.
        scheme: ``http`` or ``https``; the named host is asked by no other.
        host: ``name[:port]`` as the user wrote it.
        also: Further such hosts, asked by ``https`` only.
    """
    allowed = {_place(scheme, host), *(_place("https", name) for name in also)}
    door = _Door(host, allowed)
    session.mount("http://", door)
    session.mount("https://", door)
    session.hooks["response"].append(_leave_body)


def proxy_of(place: str) -> str | None:
    """Return the proxy that the environment puts before a place, if it names one."""
    return requests.utils.select_proxy(place, requests.utils.get_environ_proxies(place))


def _leave_body(answer: requests.Response, **_: object) -> None:
    """Close an answer that wants a login: nobody reads on, however long it is."""
    if answer.status_code in {401, 403}:
        answer.close()


Place = tuple[str, str, int]


def _place(scheme: str, host: str) -> Place:
    parts = urlsplit(f"{scheme}://{host}")
    return scheme, parts.hostname or "", parts.port or _PORTS[scheme]


class _Door(HTTPAdapter):
    """Refuses a request to a host that nobody named."""

    def __init__(self, host: str, allowed: set[Place]) -> None:
        self._host = host
        self._allowed = allowed
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        super().init_poolmanager(*args, **options)  # type: ignore[arg-type]
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}

    def send(
        self, request: requests.PreparedRequest, *args: object, **options: object
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        if (parts.scheme, parts.hostname or "", port) not in self._allowed:
            msg = (
                f"The registry {self._host} sends this machine on to "
                f"{parts.scheme}://{(parts.hostname or '')[:80]}, which nobody named."
            )
            raise RegistryElsewhereError(msg)
        return super().send(request, *args, **options)  # type: ignore[arg-type]


def _checked(found: socket.socket, named: str) -> socket.socket:
    """Return a connection if the name may lead where it led."""
    peer = ipaddress.ip_address(str(found.getpeername()[0]).partition("%")[0])
    mapped = getattr(peer, "ipv4_mapped", None)
    where = mapped or peer
    here = where.is_loopback and (named == "localhost" or plain_address(named))
    wrong = where.is_loopback or where.is_link_local or where.is_unspecified
    if wrong and not here and plain_address(named) != where:
        found.close()
        msg = f"The registry's name {named[:80]!r} leads to {where}."
        raise RegistryElsewhereError(msg)
    return found


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _SafeConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # type: ignore[mutable-override]


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _SafeConnection  # type: ignore[mutable-override]

"""Addresses as people write them, and the rule of a plant that is cut off.

Where a workspace is air-gapped no name is ever resolved: a question to a resolver
leaves the machine, and its answer says where to connect to. Only addresses that were
listed are connected to, and the machine itself.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tundish.kernel.errors import AirGappedError, SettingInvalidError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def plain_address(host: str) -> Address | None:
    """Return the address that a text is; nothing for names and for other spellings.

    Only the usual forms count: ``10.0.0.5`` and ``fd00::5``, also in brackets. What C
    libraries take besides (``2130706433``, ``0x7f.1``, ``0177.0.0.1``) does not; an
    IPv4 address within an IPv6 one is the former.
    """
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_near(host: str) -> bool:
    """Tell whether a host is this machine, as it is written: no name is resolved."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class AirGap:
    """The rule of a workspace that is cut off.

    Attributes:
        listed: Addresses and networks that may be connected to.
    """

    listed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> AirGap:
        """Read addresses and networks such as ``10.0.0.5`` and ``192.168.7.0/24``.

        Raises:
            SettingInvalidError: if a text is neither.
        """
        try:
            return cls(listed=tuple(ipaddress.ip_network(text) for text in texts))
        except ValueError as error:
            msg = f"A listed address of the workspace is none: {error}."
            raise SettingInvalidError(msg) from error

    def check(self, host: str, what: str) -> None:
        """Refuse a host that is a name, or an address that is not listed.

        Args:
            host: As somebody wrote it, without port.
            what: What it is the host of, for the message.

        Raises:
            AirGappedError: if it may not be connected to.
        """
        address = plain_address(host)
        if address is None:
            msg = f"{what} is named {host[:80]!r}; an air-gapped workspace resolves no name."
            raise AirGappedError(msg)
        near = address.is_loopback or any(address in net for net in self.listed)
        if not near:
            msg = f"{what} lies at {address}, which this air-gapped workspace does not list."
            raise AirGappedError(msg)


def hosts_of(address: str) -> tuple[str, ...]:
    """Return the hosts in ``scheme://host:port/path`` or ``host:port/path``.

    There may be several, as in ``kafka://host:port,host:port``.
    """
    text = address if "://" in address else f"//{address}"
    try:
        places = urlsplit(text).netloc.rpartition("@")[2].split(",")
        return tuple(urlsplit(f"//{place}").hostname or "" for place in places)
    except ValueError:
        return (address,)

"""Make the certificate with which OPC UA servers know this box."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tundish.flows.errors import CertificateOrderError
from tundish.kernel import paths
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.kernel.records import Record
from tundish.seal import application
from tundish.seal.errors import KeyExistsError

_LENGTHS = (2048, 3072, 4096)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:\-]{0,251}[A-Za-z0-9])?")
_URI = re.compile(r"[a-z][a-z0-9+.\-]{0,30}:[!-~]{1,200}")


@dataclass(frozen=True, kw_only=True)
class CertificateOrder:
    """What to make.

    Attributes:
        place: ``place.crt`` and ``place.key`` are written.
        hosts: Names or addresses of the box; none: its host name.
        uri: Application URI; None: one made of the first host.
        days: How long it counts.
        bits: Length of the RSA key.
    """

    place: Path
    hosts: tuple[str, ...] = ()
    uri: str | None = None
    days: float = 1825.0
    bits: int = 2048


class MadeCertificate(Record):
    """What was made.

    Attributes:
        thumbprint: SHA-1 of the certificate, by which servers list it.
    """

    certificate: str
    key: str
    uri: str
    hosts: tuple[str, ...]
    not_after: str
    thumbprint: str


def make_certificate(
    order: CertificateOrder, clock: Clock | None = None
) -> MadeCertificate:
    """Make a certificate that signed itself, and its key; nothing is replaced.

    Raises:
        KeyExistsError: if a file is there already.
        CertificateOrderError: if a host, URI or length is none.
    """
    hosts = order.hosts or (socket.gethostname(),)
    uri = order.uri or f"urn:{hosts[0]}:tundish:line"
    _check(hosts, uri, order.bits)
    certificate = order.place.with_name(order.place.name + ".crt")
    key = order.place.with_name(order.place.name + ".key")
    for path in (certificate, key):
        if path.exists() or path.is_symlink():
            msg = (
                f"A certificate was to be made at {path}, and a file is there already."
            )
            raise KeyExistsError(msg)
    now = (clock or SystemClock()).now()
    made = application.make(uri, hosts, days=order.days, bits=order.bits, now=now)
    paths.write_whole(key, made[1], mode=0o600)
    paths.write_whole(certificate, made[0])
    return MadeCertificate(
        certificate=str(certificate),
        key=str(key),
        uri=uri,
        hosts=hosts,
        not_after=to_text(now.replace(microsecond=0) + timedelta(days=order.days)),
        thumbprint=application.thumbprint(made[0]),
    )


def _check(hosts: tuple[str, ...], uri: str, bits: int) -> None:
    for host in hosts:
        if not _HOST.fullmatch(host):
            msg = f"{host[:80]!r} is no name or address of a host."
            raise CertificateOrderError(msg)
    if not _URI.fullmatch(uri):
        msg = f"{uri[:80]!r} is no URI such as 'urn:box7:tundish:line'."
        raise CertificateOrderError(msg)
    if bits not in _LENGTHS:
        msg = f"A key of {bits} bits was asked for; OPC UA takes 2048, 3072 or 4096."
        raise CertificateOrderError(msg)

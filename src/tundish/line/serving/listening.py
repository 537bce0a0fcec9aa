"""Where a server listens, and how it encrypts."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

from tundish.kernel import paths
from tundish.kernel.addresses import Address, plain_address
from tundish.line.serving.errors import (
    AddressTakenError,
    ListenInvalidError,
    PlaintextRefusedError,
    TlsUnusableError,
)

_FORM = re.compile(r"(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_MOST_PORT = 65_535


def parse_listen(text: str) -> tuple[Address, int]:
    """Read an address and a port such as ``127.0.0.1:8080`` or ``[::1]:8080``.

    Raises:
        ListenInvalidError: if it is none; names are not resolved.
    """
    found = _FORM.fullmatch(text)
    address = plain_address(found["host"]) if found else None
    if found is None or address is None or int(found["port"]) > _MOST_PORT:
        msg = f"{text[:80]!r} is no address with a port; no name is resolved."
        raise ListenInvalidError(msg)
    return address, int(found["port"])


def require_encryption(address: Address, *, tls: bool, insecure: bool) -> None:
    """Refuse to listen beyond this machine in the clear, unless that was said.

    Raises:
        PlaintextRefusedError: naming the address.
    """
    if not (tls or insecure or address.is_loopback):
        msg = f"Other machines reach {address}, and no certificate was named."
        raise PlaintextRefusedError(msg)


def bind(address: Address, port: int) -> socket.socket:
    """Return a socket that holds an address, and does not listen yet.

    Raises:
        AddressTakenError: if the system does not give it.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((str(address), port))
    except OSError as error:
        held.close()
        msg = f"The system does not let the server listen on {address}, port {port}: {error.strerror}."
        raise AddressTakenError(msg) from error
    return held


def tls_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Return how a server encrypts: TLS 1.2 or newer.

    Args:
        certificate: PEM, with those between it and its authority.
        key: PEM, its own, not encrypted.
        client_ca: PEM of the authority whose certificates clients must show; None: they
            show none.

    Raises:
        TlsUnusableError: if a file does not do.
        PathMissingError: if one is not there.
    """
    for path in filter(None, (certificate, key, client_ca)):
        paths.existing_file(path)
    if key.stat().st_mode & 0o007:
        msg = f"Every user of this machine may read or change the key {key}."
        raise TlsUnusableError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key, password=_nobody_types)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        msg = f"Certificate {certificate}, key {key} or authority cannot be used: {reason}."
        raise TlsUnusableError(msg) from error
    return context


def _nobody_types() -> str:
    return ""

"""TLS as a line file says it, with the standard library's own module."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from tundish.kernel import paths
from tundish.kernel.errors import TundishError
from tundish.line.errors import CertificateUnusableError, LinkRefusedError
from tundish.line.security import SecuritySpec

PARTS = ("trust", "certificate", "key", "key_password")

_PEM = b"-----BEGIN"
MOST_BYTES = 4 * 1024**2  # a bundle of all authorities of a system has a quarter of it
_WHY: Final = {
    9: "its certificate is not valid yet (or this box's clock is behind)",
    10: "its certificate has expired (or this box's clock is ahead)",
    18: "its certificate is signed by itself, and security.trust does not hold it",
    19: "its certificate comes from an authority that security.trust does not hold",
    20: "its certificate comes from an authority that security.trust does not hold",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}  # of OpenSSL's X509_V_ERR


def cause(error: OSError) -> str:
    """Return why a connection failed, in the system's words, without its numbers."""
    if isinstance(error, ssl.SSLError) or error.errno is None or error.errno <= 0:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def client_context(spec: SecuritySpec, owner: str) -> ssl.SSLContext:
    """Return what a client needs for TLS 1.2 or later; the server must prove its name.

    Args:
        spec: Parts of a link's security; without ``trust`` the system's authorities
            are asked.
        owner: Names source or sink in the message.

    Raises:
        CertificateUnusableError: if a file is not there or holds none.
        SecretMissingError: if the key's password is not there.
    """
    password = spec.key_password.read() if spec.key_password else None
    try:
        context = ssl.create_default_context(cadata=_trusted(spec.trust))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if spec.certificate:  # OpenSSL without a password would ask on the terminal
            context.load_cert_chain(
                spec.certificate,
                spec.key,
                lambda: password.reveal() if password else "",
            )
    except (OSError, ValueError, TundishError) as error:
        said = cause(error) if isinstance(error, OSError) else str(error).rstrip(".")
        named = ", ".join(p for p in (spec.trust, spec.certificate, spec.key) if p)
        msg = f"{owner} cannot use its certificate or key ({named}): {said}."
        raise CertificateUnusableError(msg) from error
    return context


def why(error: ssl.SSLError) -> str:
    """Return why a handshake failed, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _WHY.get(error.verify_code, error.verify_message)
    reason = (error.reason or "the handshake failed").replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason:
        return "it does not speak TLS on this port"
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return f"it does not accept our certificate ({reason})"
    return reason


def refused(endpoint: str, error: ssl.SSLError) -> LinkRefusedError:
    """Return the refusal that a failed handshake is."""
    return LinkRefusedError(f"No protected link to {endpoint}: {why(error)}.")


def _trusted(name: str | None) -> str | bytes | None:
    """Return certificates as OpenSSL takes them: text (PEM) or bytes (DER)."""
    if name is None:
        return None
    data = paths.read_file(Path(name), most=MOST_BYTES)
    if not data:
        msg = f"{name} is empty"
        raise ValueError(msg)
    return data.decode("ascii") if _PEM in data else data
